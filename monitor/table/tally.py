"""How many rows a listing has: counting a long one takes time, so it is done the less often, and nothing waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from monitor.table.listing import Listing

#: The part of the time that counting may take.
SHARE = 0.01
#: Seconds that are waited for a count.
GRACE = 0.005


class Tally:
    """Counts one listing at a time. `on_counted` hears of each count, and whether it came late: nobody waited any more.

    `number` is that of the counts so far.
    """

    def __init__(self, on_counted: Callable[[int, bool], None]) -> None:
        self.number = 0
        self._on_counted = on_counted
        self._due = 0.0
        self._counting: asyncio.Task[int] | None = None
        self._waiting = False
        self._error: Exception | None = None

    @property
    def due(self) -> bool:
        """Whether it is time to count."""
        return monotonic() >= self._due

    def forget(self) -> None:
        """It is another listing, or another number by now: count at once."""
        self._due = 0.0
        self._counting = None

    async def count(self, listing: Listing[Any], *, grace: float | None = GRACE) -> int | None:
        """Its rows; None when that is not known within `grace` seconds. None for `grace` waits to the end."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._counting is None:
            self._counting = asyncio.ensure_future(listing.count())
            self._counting.add_done_callback(partial(self._done, monotonic()))
        counting, self._waiting = self._counting, True
        try:
            await asyncio.wait([counting], timeout=grace)
        finally:
            self._waiting = False
        return counting.result() if counting.done() else None

    def _done(self, begun: float, task: asyncio.Task[int]) -> None:
        if task is not self._counting:
            return  # of another listing, by now
        self._counting = None
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            if not self._waiting and isinstance(error, Exception):
                self._error = error  # said at the next look
            return
        self.number += 1
        self._due = monotonic() + (monotonic() - begun) / SHARE - 1
        self._on_counted(task.result(), not self._waiting)
