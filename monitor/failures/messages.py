"""The failed messages of one cause, or all that match a filter. Enter shows one whole."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult

from monitor.drawing.figures import age, counted
from monitor.failures.listing import AGE, TERMS, FailureListing
from monitor.failures.page import FailurePage
from monitor.failures.preview import failure_lines, read
from monitor.failures.wording import cause, state
from monitor.frame.saying import Saying
from monitor.frame.split import Split
from monitor.reading.beside import Beside
from monitor.table.columns import Cell, Column
from monitor.table.table import Table

if TYPE_CHECKING:
    from engine.operations.failures import FailureRow


class MessagesPage(FailurePage):
    """Failures, the newest first. What comes meanwhile comes in above, and moves nothing that is looked at."""

    AUTO_FOCUS = "Table"
    DEFAULT_CSS: ClassVar[str] = """
    MessagesPage .messages--summary { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, fingerprint: str | None = None, *, filter: str = "") -> None:
        super().__init__()
        self._fingerprint = fingerprint
        self._asked = filter

    def body(self) -> ComposeResult:
        """A line that sums up, the failures, and beside them the one under the cursor."""
        yield Saying(classes="messages--summary")
        listing = FailureListing(self.source, fingerprint=self._fingerprint, filter=self._asked)
        table: Table[FailureRow] = Table(
            self._columns(), listing, noun="failures", terms=TERMS, empty="There are no such failures.", id="failures"
        )
        yield Split(table, Beside(id="preview"))

    def _columns(self) -> Sequence[Column[FailureRow]]:
        now = self.source.now
        return (
            Column("id", "ID", lambda row: str(row.id), width=6, right=True, rank=4),
            Column(AGE, "AGE", lambda row: age(now() - row.arrived), width=4, right=True, sort=True),
            Column("state", "STATE", _state, width=12),
            Column("type", "TYPE", lambda row: row.event_type, width=14, grow=1, most=28, rank=2),
            Column("event", "EVENT", lambda row: row.event_id, width=10, grow=1, most=36, rank=3, tail=True),
            Column("cause", "CAUSE", cause, width=20, grow=2)
            if self._fingerprint is None
            else Column("cause", "MESSAGE", lambda row: row.message or row.reason, width=20, grow=2),
            Column("attempts", "TRIED", lambda row: str(row.attempts), width=5, right=True, rank=1),
        )

    @property
    def _table(self) -> Table[FailureRow]:
        return self.query_one("#failures", Table)

    def refresh_now(self) -> None:
        """Read again at once."""
        if self.composed:
            self._table.renew()
        super().refresh_now()

    def show(self, _found: None) -> None:
        """Sum up."""
        self._say()

    @on(Table.MarksChanged)
    @on(Table.Counted)
    def _say(self) -> None:
        table, row = self._table, self._table.row
        pieces: list[Any] = []
        if table.known:
            pieces.append((counted(table.view.total, "failure", more=table.view.more), "strong"))
        if self._fingerprint is not None and row is not None:
            pieces.append((f"   {row.exception or row.reason} in {row.handler or row.queue}", "bad"))
        if table.marked:
            pieces.append((f"   ✓ {table.marked:,} marked", "accent"))
        if table.listing.filter:
            pieces.append((f"   filter: {table.listing.filter}", "info"))
        self.query_one(".messages--summary", Saying).say(*pieces)

    @on(Table.Moved)
    def _moved(self) -> None:
        row, beside = self._table.row, self.query_one(Beside)
        if row is None:
            beside.clear()
        else:
            draw = partial(failure_lines, now=self.source.now())
            beside.rest_on(row.id, row, partial(read, self.source, row.id, draw))

    @on(Table.Opened)
    def _open(self, message: Table.Opened) -> None:
        from monitor.failures.whole import MessagePage

        self.monitor.push_screen(MessagePage(message.row.id, self._table))

    @property
    def current(self) -> FailureRow | None:
        """The failure under the cursor."""
        return self._table.row

    async def chosen(self) -> Sequence[int]:
        """Those that are marked, else the one under the cursor."""
        return [int(str(key)) for key in await self._table.chosen()]

    def unmark(self) -> None:
        """What was marked was acted on."""
        self._table.unmark()


def _state(row: FailureRow) -> Cell:
    shown = state(row)
    return Cell(str(shown), shown.tone)
