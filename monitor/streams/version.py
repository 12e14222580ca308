"""One version of a stream: what its event changed, and what the aggregate was then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.events import Resize

from monitor.events.page import EventActs
from monitor.failures.message import Section, body_part, joined
from monitor.frame.split import WIDE
from monitor.keys import bindings
from monitor.reading.lines import plain
from monitor.reading.pager import Pager
from monitor.streams.lines import Seen, head, state_sections
from monitor.streams.reading import look

if TYPE_CHECKING:
    from engine.operations.events import LoggedEvent
    from engine.operations.streams import StreamId
    from monitor.table.table import Table


class VersionPage(EventActs):
    """The state at a version; from 120 columns on beside the event that led to it. `among` is the table of versions."""

    AUTO_FOCUS = "#state"
    BINDINGS: ClassVar[list[BindingType]] = bindings("event")
    DEFAULT_CSS: ClassVar[str] = """
    VersionPage #parts { height: 1fr; }
    VersionPage Pager { width: 1fr; }
    VersionPage #event { display: none; border-left: vkey $foreground 18%; }
    VersionPage #parts.-wide #event { display: block; }
    """

    def __init__(self, stream: StreamId, row: LoggedEvent, among: Table[Any]) -> None:
        super().__init__()
        self._stream = stream
        self._row = row
        self._among = among
        self._seen: tuple[Seen, list[Section], Section] | None = None
        self._shown: tuple[int | None, bool] | None = None

    def body(self) -> ComposeResult:
        """One part to read in a narrow terminal, two in a wide one."""
        with Horizontal(id="parts"):
            yield Pager(id="state")
            yield Pager(id="event")

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
        wide = self.app.size.width >= WIDE
        self.query_one("#parts").set_class(wide, "-wide")
        other = self._shown != (self._row.version, wide)
        self._shown = self._row.version, wide
        told = sections if wide else [*sections, event]
        self.query_one("#state", Pager).show([*head(seen, self.source.now()), *joined(told)], other=other)
        if wide and other:
            self.query_one("#event", Pager).show(joined([event])[1:], other=True)

    def on_resize(self, event: Resize) -> None:
        """One part or two."""
        self.show(self._seen)

    @property
    def current(self) -> LoggedEvent | None:
        """Its event."""
        return self._row

    def action_next(self) -> None:
        """To the next version of the table behind."""
        self._step(1)

    def action_previous(self) -> None:
        """To the one before it."""
        self._step(-1)

    def _step(self, by: int) -> None:
        before = self._among.row
        (self._among.action_down if by > 0 else self._among.action_up)()
        row = self._among.row
        if row is None or row is before:
            self.tell("There is no other.")
            return
        self._row = row
        self.refresh_now()

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
