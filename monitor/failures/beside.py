"""The pane beside a list of failures: the one under the cursor, read whole once the cursor rests on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

from textual.timer import Timer

from monitor.reading.pager import Pager

if TYPE_CHECKING:
    from engine.operations.failures import FailureDetail
    from monitor.frame.page import Page
    from monitor.reading.lines import Line

#: Seconds that the cursor rests before anything is read.
REST = 0.08

#: Puts a failure into lines; called in a thread.
Draw: TypeAlias = "Callable[[FailureDetail], Sequence[Line]]"


class Beside(Pager):
    """Shows one failure at a time."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._seen: object = None
        self._failure_id: int | None = None
        self._resting: Timer | None = None

    def rest_on(self, failure_id: int, seen: object, draw: Draw) -> None:
        """Read this failure, unless what is `seen` of it in the list was read already."""
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(REST, partial(self._rest, failure_id, seen, draw))

    def clear(self, lines: Sequence[Line] = ()) -> None:
        """Show these lines and no failure, until the cursor has rested on one."""
        if self._resting is not None:
            self._resting.stop()
        self.workers.cancel_group(self, "beside")
        self._seen = self._failure_id = None
        self.show(lines, other=True)

    def _rest(self, failure_id: int, seen: object, draw: Draw) -> None:
        if seen != self._seen:
            work = self._read(failure_id, seen, draw)
            self.run_worker(work, group="beside", exclusive=True, exit_on_error=False)

    async def _read(self, failure_id: int, seen: object, draw: Draw) -> None:
        from engine.operations import failures

        source = cast("Page", self.screen).source
        detail = await failures.one(source.database(), failure_id, masking=source.masking)
        lines = await asyncio.to_thread(draw, detail)  # a large body takes long
        other = failure_id != self._failure_id
        self._seen, self._failure_id = seen, failure_id
        self.show(lines, other=other)
