"""The one task that reads for a table: what is asked for meanwhile waits its turn, and is asked for once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

Work: TypeAlias = Callable[[], Coroutine[Any, Any, object]]


class Reader:
    """A queue of coroutine functions, run one at a time.

    `start` runs the coroutine that empties the queue, as a task; `done` hears of each that ended, `failed` of each
    that raised.
    """

    def __init__(
        self,
        start: Callable[[Coroutine[Any, Any, None]], object],
        done: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._start = start
        self._done = done
        self._failed = failed
        self._queue: list[Work] = []
        self._busy = False
        self._open = False

    def open(self) -> None:
        """From now on there is a loop to run on."""
        self._open = True
        self._go()

    def ask(self, work: Work) -> None:
        """Run it when its turn comes; the same that waits already is not run twice."""
        if work not in self._queue:
            self._queue.append(work)
        self._go()

    def _go(self) -> None:
        if self._open and self._queue and not self._busy:
            self._busy = True
            self._start(self._run())

    async def _run(self) -> None:
        try:
            while self._queue:
                try:
                    await self._queue.pop(0)()
                except Exception as error:
                    self._failed(error)
                else:
                    self._done()
        finally:
            self._busy = False
