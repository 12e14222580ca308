"""Screen 4: the correlations of late, and the way to any other one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from monitor.drawing import tones
from monitor.drawing.figures import age, count, latency
from monitor.drawing.text import Piece, line
from monitor.failures.wording import moment
from monitor.frame.page import Page
from monitor.source.pace import Pace
from monitor.table.columns import Cell, Column
from monitor.table.memory import MemoryListing
from monitor.table.table import Table
from monitor.traces.asking import ask
from monitor.traces.table import TraceTable
from monitor.traces.tree import TracePage

if TYPE_CHECKING:
    from engine.operations.trace import Recent

#: Correlations that are listed.
LISTED = 200

_SORTS = {
    "type": lambda row: row.type,
    "events": lambda row: row.events,
    "failures": lambda row: row.failures,
    "took": lambda row: row.last - row.began,
}


class TracesPage(Page):
    """What began of late, the newest first. Enter shows one; `/` any, by the id of an event or a failure too."""

    DEFAULT_CSS: ClassVar[str] = """
    TracesPage #said { height: 1; padding: 0 1; }
    """

    def body(self) -> ComposeResult:
        """A line that says what this is, and the list."""
        self._pace = Pace()
        listing: MemoryListing[Recent] = MemoryListing(
            (), key=lambda row: row.correlation_id, sorts=_SORTS, text=lambda row: f"{row.type} {row.correlation_id}"
        )
        yield Static("", id="said", markup=False)
        empty = "The log has no events yet. / traces any correlation id, event id or failure (#17)."
        yield TraceTable(self._columns(), listing, empty=empty, noun="correlations of late", live=False, id="recent")

    def _columns(self) -> Sequence[Column[Recent]]:
        now = self.source.now
        return (
            Column("began", "BEGAN", lambda row: moment(row.began, now()), width=8, most=19),
            Column("age", "LAST", lambda row: age(max(now() - row.last, 0.0)), width=4, right=True, rank=2),
            Column("type", "FIRST EVENT", lambda row: row.type, width=16, grow=1, most=40, sort=True),
            Column("events", "EVENTS", lambda row: count(row.events), width=6, right=True, sort=True, down=True),
            Column("failures", "FAILED", _failed, width=7, right=True, sort=True, down=True),
            Column("took", "SPAN", _took, width=6, right=True, rank=1, sort=True, down=True),
            Column("correlation", "CORRELATION", lambda row: row.correlation_id, width=16, grow=2, most=60),
        )

    @property
    def _table(self) -> Table[Recent]:
        return self.query_one("#recent", Table)

    async def fetch(self) -> list[Recent] | None:
        """The correlations of late; None while it is too early to look again."""
        from engine.operations import trace

        if not self._pace.due:
            return None
        with self._pace.reading():
            return await trace.recent(self.source.database(), limit=LISTED)

    def refresh_now(self) -> None:
        """Read again at once."""
        self._pace.hurry()
        super().refresh_now()

    def show(self, found: list[Recent] | None) -> None:
        """Put them into the list."""
        if found is None:
            return
        self._table.put(found)
        failing = sum(1 for row in found if row.failures)
        said: Piece = (f"   {tones.BAD} {failing:,} with open failures", "bad") if failing else ""
        many = "1 correlation" if len(found) == 1 else f"{len(found):,} correlations"
        text = f"{many} of late" if found else "No correlations yet"
        self.query_one("#said", Static).update(
            line((text, "strong"), said, ("   / traces any id", "muted")), layout=False
        )

    @on(Table.Opened, "#recent")
    def _opened(self, message: Table.Opened) -> None:
        self.monitor.push_screen(TracePage(message.row.correlation_id))

    def open(self, *, reference: str = "", at: str = "", back: str = "", **_: Any) -> None:
        """Show the trace of this, and nothing above it; `back`: the screen that escape leads to."""
        while len(self.monitor.screen_stack) > 1:
            self.monitor.pop_screen()
        self.monitor.push_screen(TracePage(reference, at=at, back="" if back == "traces" else back))

    def action_find(self) -> None:
        """Ask for an id, and show its trace."""
        self.perform(self._find(), doing="tracing it")

    async def _find(self) -> None:
        found = await ask(self)
        if found is not None:
            self.monitor.push_screen(TracePage(found))


def _failed(row: Recent) -> Cell:
    return Cell(f"{tones.BAD} {count(row.failures)}", "bad") if row.failures else Cell("0", "muted")


def _took(row: Recent) -> Cell:
    return Cell(latency(max(row.last - row.began, 0.0)), "muted")
