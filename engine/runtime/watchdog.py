"""Notices a handler that blocks the event loop, and says which one it is and where.

While the loop stands still nothing of the worker moves: no other handler, no ack, no
time-out. So this is a thread. It looks whether the loop has turned since it looked last;
on the loop's side that costs one callback in a quarter of a second.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterator
from threading import Event, Thread, get_ident
from types import FrameType

from engine.model.describe import user_frame
from engine.model.place import shown_path

logger = logging.getLogger("warren.watchdog")

#: Seconds for which the loop may stand still.
PATIENCE = 1.0
#: Seconds between two looks.
INTERVAL = 0.25
#: Seconds after which a blockage that goes on is told again.
AGAIN = 30.0


class Watchdog:
    """Watches the running event loop from a thread, from `start` until `stop`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = get_ident()
        self._turned = time.monotonic()
        self._handle: asyncio.TimerHandle | None = None
        self._stop = Event()
        self._thread = Thread(target=self._watch, name="warren-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._turn()
        self._thread.start()

    async def stop(self) -> None:
        """Watch no longer."""
        self._stop.set()
        if self._handle is not None:
            self._handle.cancel()

    def _turn(self) -> None:
        self._turned = time.monotonic()
        self._handle = self._loop.call_later(INTERVAL, self._turn)

    def _watch(self) -> None:
        looked, told = time.monotonic(), 0.0
        since: float | None = None
        while not self._stop.wait(INTERVAL):
            now = time.monotonic()
            # When this thread was away as well, the whole process was: stopped, or starved.
            away, looked = now - looked > 2 * PATIENCE, now
            blocked = now - self._turned
            if blocked < PATIENCE:
                if since is not None:
                    logger.warning("the event loop goes on after %.1f s", self._turned - since)
                since = None
            elif not away and (since is None or now - told > AGAIN):
                if since is None:
                    since = self._turned
                told = now
                self._tell(blocked)

    def _tell(self, blocked: float) -> None:
        frame = user_frame(_frames(sys._current_frames().get(self._loop_thread)))  # noqa: SLF001
        lane = self._lane()
        if frame is None and not lane:
            logger.debug("the event loop stands still for %.1f s, in no code of a plugin", blocked)
            return
        logger.warning(
            "%s blocks the event loop for %.1f s, %s: nothing else runs in this worker meanwhile; "
            "make it a plain def, which runs in a thread, or await what takes long",
            f"the handler of {lane}" if lane else "a callback",
            blocked,
            _place(frame),
        )

    def _lane(self) -> str:
        """The queue whose handler is at work: the tasks of lanes are named after theirs."""
        task = asyncio.current_task(self._loop)
        name = task.get_name() if task is not None else ""
        return name.removeprefix("lane of ") if name.startswith("lane of ") else ""


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return "in no code of a plugin"
    return f"at {shown_path(frame.f_code.co_filename)}:{frame.f_lineno} in {frame.f_code.co_qualname}"


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """The stack without the program's own start, the outermost frame first."""
    found: list[FrameType] = []
    while frame is not None:
        if frame.f_globals.get("__name__") != "__main__":
            found.append(frame)
        frame = frame.f_back
    return reversed(found)
