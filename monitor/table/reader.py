"""The one task that reads for a table: what is asked for meanwhile waits its turn, and is asked for once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

Work: TypeAlias = Callable[[], Coroutine[Any, Any, object]]


class Reader:
    """A queue of coroutine functions, run one at a time.

    `done` hears of each that ended, `failed` of each that raised.
    """

    def __init__(self, done: Callable[[], None], failed: Callable[[Exception], None]) -> None:
        self._done = done
        self._failed = failed
        self._queue: list[Work] = []
        #: A plain task: each worker of Textual's tells its widget three times how it fares.
        self._task: asyncio.Task[None] | None = None
        self._open = False

    def open(self) -> None:
        """From now on there is a loop to run on."""
        self._open = True
        self._go()

    def close(self) -> None:
        """Run nothing any more."""
        self._open = False
        if self._task is not None:
            self._task.cancel()

    def ask(self, work: Work) -> None:
        """Run it when its turn comes; the same that waits already is not run twice."""
        if work not in self._queue:
            self._queue.append(work)
        self._go()

    def _go(self) -> None:
        if self._open and self._queue and self._task is None:
            self._task = asyncio.create_task(self._run(), name="warren table")

    async def _run(self) -> None:
        try:
            while self._queue:
                try:
                    await self._queue.pop(0)()
                    self._done()
                except Exception as error:
                    self._failed(error)
        finally:
            self._task = None
