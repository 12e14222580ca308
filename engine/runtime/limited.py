"""A time-out that costs nothing until there is something to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")

#: Seconds between two looks at somebody who still stands in line when his time is over.
LOOK = 0.05


async def within(seconds: float, work: Coroutine[Any, Any, T], *, queued: Callable[[], float] | None = None) -> T:
    """Await this for at most so many seconds; raises `TimeOutExpired` when it took longer.

    What `queued` tells, the seconds so far that it stood in line for somebody else, does not count. Until it waits for the first time nothing could interrupt it anyway, so that far it runs
    without a timer. Most handlers of a busy queue never wait, and a timer costs as much as they do.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        waiting = work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    rest = _rest(work, waiting)
    del waiting  # see there
    try:
        async with asyncio.timeout_at(begun + seconds if queued is None else None) as limit:
            if queued is None:
                return await rest
            watch = _Watch(limit, begun + seconds, queued)
            try:
                return await rest
            finally:
                watch.cancel()
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TimeOutExpired from error


class _Watch:
    """Has a time-out strike at this moment of the loop's clock, or later by what is `queued` until then."""

    def __init__(self, limit: asyncio.Timeout, end: float, queued: Callable[[], float]) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._end = end
        self._queued = queued
        self._timer = self._loop.call_at(end, self._look)

    def _look(self) -> None:
        now, end = self._loop.time(), self._end + self._queued()
        if end <= now:
            self._limit.reschedule(now)
        else:
            self._timer = self._loop.call_at(max(end, now + LOOK), self._look)

    def cancel(self) -> None:
        self._timer.cancel()


class TimeOutExpired(Exception):
    """What was awaited took too long, and was cancelled."""


@coroutine
def _rest(work: Coroutine[Any, Any, T], waiting: Any) -> Generator[Any, Any, T]:
    """Go on with a coroutine that waits for this."""
    while True:
        try:
            value: Any = yield waiting
            failed: BaseException | None = None
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:
            value, failed = None, error
        waiting = None  # a future holds what was raised, which holds this frame, and the handler's message with it
        try:
            waiting = work.send(value) if failed is None else work.throw(failed)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        finally:
            failed = value = None
