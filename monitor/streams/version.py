"""One version of a stream: what its event changed, and what the aggregate was then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Resize

from monitor.events.page import EventActs
from monitor.frame.among import AmongPage
from monitor.keys import bindings
from monitor.reading.halves import Halves
from monitor.reading.lines import plain
from monitor.reading.sections import Section, body_part, joined
from monitor.streams.lines import Seen, head, state_sections
from monitor.streams.reading import look

if TYPE_CHECKING:
    from engine.operations.events import LoggedEvent
    from engine.operations.streams import StreamId
    from monitor.table.table import Table


class VersionPage(AmongPage, EventActs):
    """The state at a version; from 120 columns on beside the event that led to it."""

    AUTO_FOCUS = "#main"
    BINDINGS: ClassVar[list[BindingType]] = bindings("event")

    def __init__(self, stream: StreamId, row: LoggedEvent, among: Table[Any]) -> None:
        super().__init__(among)
        self._stream = stream
        self._row = row
        self._seen: tuple[Seen, list[Section], Section] | None = None

    def body(self) -> ComposeResult:
        """One part to read in a narrow terminal, two in a wide one."""
        yield Halves()

    async def fetch(self) -> tuple[Seen, list[Section], Section] | None:
        """The state, once: what is in the log does not change."""
        version = self._row.version or 0
        if self._seen is not None and self._seen[0].detail.row.version == version:
            return self._seen
        seen = await look(self.source, self._stream, version)
        return None if seen is None else await asyncio.to_thread(_laid_out, seen)

    def show(self, found: tuple[Seen, list[Section], Section] | None) -> None:
        """Put it into one part or two."""
        if found is None or found[0].detail.row.version != self._row.version:
            return
        self._seen = found
        seen, sections, event = found
        halves, top = self.query_one(Halves), head(seen, self.source.now())
        told = sections if halves.wide else [*sections, event]
        halves.put(self._row.version, [*top, *joined(told)], joined([event])[1:])

    def on_resize(self, event: Resize) -> None:
        """One part or two."""
        self.show(self._seen)

    @property
    def current(self) -> LoggedEvent | None:
        """Its event."""
        return self._row

    def turn_to(self, row: Any) -> bool:
        """Show this one."""
        self._row = row
        return True

    def action_copy(self) -> None:
        """Copy the state as it is shown."""
        if self._seen is not None:
            text = "\n".join(plain(each) for each in self._seen[1][-1].lines)
            self.copy(text, f"State of {self._stream} at version {self._row.version}")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """It came from the history."""
        return False if action == "history" else super().check_action(action, parameters)


def _laid_out(seen: Seen) -> tuple[Seen, list[Section], Section]:
    row = seen.detail.row
    return seen, state_sections(seen), body_part(seen.detail.message.body, title=f"Event {row.position:,}")
