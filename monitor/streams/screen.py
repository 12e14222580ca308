"""All streams. Enter shows the history of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from monitor.drawing.figures import age, count
from monitor.drawing.text import line
from monitor.events.wording import stamp
from monitor.frame.page import Page
from monitor.keys import bindings
from monitor.streams.history import HistoryPage
from monitor.streams.listing import StreamListing
from monitor.table.columns import Cell, Column
from monitor.table.table import Table

if TYPE_CHECKING:
    from engine.operations.streams import FoundStream


class StreamsPage(Page):
    """The streams of all aggregates, by type and id, with their versions."""

    GROUP = "streams"
    AUTO_FOCUS = "Table"
    BINDINGS: ClassVar[list[BindingType]] = bindings("streams")
    DEFAULT_CSS: ClassVar[str] = """
    StreamsPage .streams--summary { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def body(self) -> ComposeResult:
        """A line that says what to do, and the list."""
        hint = "  / finds them by how they begin: account, or account/a-17"
        yield Static(line(("Streams", "strong"), (hint, "muted")), classes="streams--summary", markup=False)
        yield Table(
            _columns(self.source.now),
            StreamListing(self.source),
            noun="streams",
            empty="There are no streams: aggregates append to them, and the event log of an application.",
            id="streams",
        )

    @property
    def _table(self) -> Table[FoundStream]:
        return self.query_one("#streams", Table)

    @on(Table.Opened, "#streams")
    def _open(self, message: Table.Opened) -> None:
        self.monitor.push_screen(HistoryPage(message.row.stream))

    def action_events(self) -> None:
        """Show what the log has about the aggregate, also what is not of its stream."""
        from engine.operations.event_filtering import quoted

        if self._table.row is not None:
            self.monitor.go("events", filter=f"aggregate:{quoted(str(self._table.row.stream))}")


def _columns(now: Callable[[], float]) -> list[Column[FoundStream]]:
    return [
        Column("type", "TYPE", lambda row: Cell(row.stream.aggregate_type, "muted"), width=12, grow=1, most=30),
        Column("id", "ID", lambda row: Cell(row.stream.aggregate_id, "strong"), width=16, grow=2, most=60),
        Column("version", "VERSION", lambda row: count(row.version), width=7, right=True),
        Column("age", "LAST", lambda row: age(max(now() - row.recorded, 0.0)), width=4, right=True),
        Column("logged", "LOGGED", lambda row: stamp(row.recorded, now()), width=11, right=True, rank=2),
        Column("event", "LAST EVENT", lambda row: row.event_type, width=16, grow=1, most=40, rank=1),
    ]
