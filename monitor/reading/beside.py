"""The pane beside a list: what is under the cursor, read whole once the cursor rests on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from textual import events
from textual.timer import Timer

from monitor.reading.pager import Pager

if TYPE_CHECKING:
    from monitor.frame.page import Page
    from monitor.reading.lines import Line

#: Seconds that the cursor rests before anything is read.
REST = 0.08

#: Reads something and puts it into lines.
Read: TypeAlias = "Callable[[], Awaitable[Sequence[Line]]]"


class _Wanted(NamedTuple):
    """What is under the cursor: by what it is known, and what of it is seen in the list, which may change."""

    key: object
    seen: object
    read: Read


class Beside(Pager):
    """Shows one thing of the list at a time; while it has no place it reads nothing."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._wanted: _Wanted | None = None
        self._read: _Wanted | None = None
        self._resting: Timer | None = None

    def rest_on(self, key: object, seen: object, read: Read) -> None:
        """Read this, unless what is `seen` of it in the list was read already. Another `key` begins at its top."""
        self._wanted = _Wanted(key, seen, read)
        self._rest()

    def clear(self, lines: Sequence[Line] = ()) -> None:
        """Show these lines, until the cursor has rested on something."""
        if self._resting is not None:
            self._resting.stop()
        self.workers.cancel_group(self, "beside")
        self._wanted = self._read = None
        self.show(lines, other=True)

    def on_resize(self, event: events.Resize) -> None:
        """There may be a place for it now."""
        super().on_resize(event)
        self._rest()

    def _rest(self) -> None:
        if self._resting is not None:
            self._resting.stop()
        if self.size.width and self._wanted is not None:
            self._resting = self.set_timer(REST, self._begin)

    def _begin(self) -> None:
        wanted, read = self._wanted, self._read
        if wanted is not None and (read is None or wanted.seen != read.seen):
            self.run_worker(self._show(wanted), group="beside", exclusive=True, exit_on_error=False)

    async def _show(self, wanted: _Wanted) -> None:
        try:
            lines = await wanted.read()
        except Exception as error:
            cast("Page", self.screen).monitor.failed(error)
            return
        other = self._read is None or wanted.key != self._read.key
        self._read = wanted
        self.show(lines, other=other)
