"""Screen 3: what fails, by cause. Enter shows the messages of one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult

from monitor.drawing.charts import sparkline
from monitor.drawing.figures import age, count, counted
from monitor.failures.causes import PARTS, CauseListing
from monitor.failures.listing import TERMS
from monitor.failures.page import FailurePage
from monitor.failures.preview import cause_lines, read
from monitor.failures.wording import cause, group_state
from monitor.frame.saying import Saying
from monitor.frame.split import Split
from monitor.reading.beside import Beside
from monitor.source.pace import Pace
from monitor.table.columns import Cell, Column
from monitor.table.table import Table

if TYPE_CHECKING:
    from engine.operations.failures import FailureRow, Group
    from engine.operations.progress import Operation
    from monitor.screens import Place


class FailuresPage(FailurePage):
    """The causes of failure, the largest first, with a sparkline of the last day."""

    AUTO_FOCUS = "Table"
    DEFAULT_CSS: ClassVar[str] = """
    FailuresPage .failures--summary { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, place: Place | None = None) -> None:
        super().__init__(place)
        self._pace = Pace()
        self._loaded: CauseListing | None = None
        self._previewed = ""

    def body(self) -> ComposeResult:
        """A line that sums up, the causes, and beside them the newest failure of the one under the cursor."""
        yield Saying(classes="failures--summary")
        listing = CauseListing(self.source)
        table: Table[Group] = Table(
            self._columns(), listing, noun="causes", terms=TERMS, empty="Nothing has failed.", id="causes"
        )
        yield Split(table, Beside(id="preview"))

    def _columns(self) -> Sequence[Column[Group]]:
        now = self.source.now
        return (
            Column("count", "OPEN", _count, width=6, right=True, sort=True, down=True),
            Column("last", "LAST", lambda row: age(now() - row.last_seen), width=4, right=True, sort=True),
            Column("trend", "LAST DAY", lambda row: Cell(sparkline(row.buckets, PARTS), "info"), width=PARTS, rank=2),
            Column("state", "STATE", lambda row: _state(row, now()), width=10, rank=3),
            Column("cause", "CAUSE", _cause, width=24, grow=3, sort=True),
            Column("handler", "HANDLER", _handler, width=14, grow=1, most=32, rank=1, sort=True),
            Column("first", "FIRST", lambda row: age(now() - row.first_seen), width=5, right=True, rank=4, sort=True),
        )

    @property
    def _table(self) -> Table[Group]:
        return self.query_one("#causes", Table)

    async def fetch(self) -> tuple[Sequence[Group], Sequence[Operation]]:
        """The causes, and the operations that are under way."""
        from engine.operations import progress

        listing = self._table.listing
        assert isinstance(listing, CauseListing)
        groups: Sequence[Group] = listing.rows
        if listing is not self._loaded or self._pace.due:
            with self._pace.reading():
                groups = await listing.load()
            self._loaded = listing
        running = await progress.list_operations(self.source.database(), None, state=progress.State.RUNNING, limit=1)
        return groups, running

    def refresh_now(self) -> None:
        """Read again at once."""
        self._pace.hurry()
        listing = self._table.listing
        if isinstance(listing, CauseListing):
            listing.forget()
        super().refresh_now()

    def show(self, found: tuple[Sequence[Group], Sequence[Operation]]) -> None:
        """Sum up."""
        groups, running = found
        number = sum(group.total for group in groups)
        filtered = self._table.listing.filter
        pieces: list[Any] = [
            (counted(number, "failure"), "strong"),
            f" of {counted(len(groups), 'cause')}" if groups else "",
            (f"   filter: {filtered}", "info") if filtered else "",
        ]
        pieces += [
            (f"   ▶ {operation.kind} {operation.id}: {operation.sent:,} of {operation.total:,}", "warn")
            for operation in running
        ]
        self.query_one(".failures--summary", Saying).say(*pieces)

    @on(Table.MarksChanged)
    def _narrowed(self) -> None:
        self.refresh_now()

    @on(Table.Moved)
    def _preview(self) -> None:
        group, beside, now = self._table.row, self.query_one(Beside), self.source.now()
        if group is None:
            beside.clear()
            return
        if group.fingerprint != self._previewed:
            self._previewed = group.fingerprint
            beside.clear(cause_lines(group, now))  # what is known already, at once
        failure_id = group.latest.id
        beside.rest_on(failure_id, group, partial(read, self.source, failure_id, partial(cause_lines, group, now)))

    @on(Table.Opened)
    def _open(self, message: Table.Opened) -> None:
        from monitor.failures.messages import MessagesPage

        self.monitor.push_screen(MessagesPage(message.row.fingerprint, filter=self._table.listing.filter))

    @property
    def current(self) -> FailureRow | None:
        """The newest failure of the cause under the cursor."""
        return None if self._table.row is None else self._table.row.latest

    async def chosen(self) -> Sequence[int]:
        """All failures of the causes that are marked, else of the one under the cursor, as the filter leaves them."""
        from monitor.failures.listing import FailureListing

        text = self._table.listing.filter
        ids: list[int] = []
        for fingerprint in await self._table.chosen():
            ids += await FailureListing(self.source, fingerprint=str(fingerprint), filter=text).keys()
        return ids

    def unmark(self) -> None:
        """What was marked was acted on."""
        self._table.unmark()

    def open(self, *, filter: str = "", **_: Any) -> None:
        """Show the causes of the failures that match a filter."""
        self._table.narrow(filter)


def _count(row: Group) -> Cell:
    return Cell(count(row.total), "strong")


def _state(row: Group, now: float) -> Cell:
    state = group_state(row, now)
    return Cell(str(state), state.tone)


def _cause(row: Group) -> Sequence[Cell]:
    latest = row.latest
    if not latest.exception:
        return [Cell(cause(latest))]
    return [Cell(latest.exception, "bad"), Cell(f": {latest.message}" if latest.message else "")]


def _handler(row: Group) -> str:
    return row.latest.handler or row.latest.queue
