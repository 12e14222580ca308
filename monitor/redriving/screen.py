"""Screen 5: redrives and replays, live. Enter shows one with its messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType

from monitor.drawing.figures import age, count
from monitor.frame.page import Page
from monitor.frame.split import Split
from monitor.keys import bindings
from monitor.reading.pager import Pager
from monitor.redriving.describing import bar, operation_lines, state
from monitor.redriving.operation import LOOK, OperationPage, cancel, steer
from monitor.table.columns import Cell, Column
from monitor.table.loaded import LoadedListing
from monitor.table.table import Table

if TYPE_CHECKING:
    from engine.operations.progress import Operation
    from monitor.source.source import Source

#: Operations that are listed, the newest.
MOST = 500
_BAR = 20


class OperationListing(LoadedListing["Operation"]):
    """The newest operations whose id, kind, state, who or why holds each word of the filter."""

    SORTS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "age": lambda operation: -operation.created,
        "total": lambda operation: operation.total,
        "failed": lambda operation: operation.failed,
    }
    ORDER: ClassVar[tuple[str, bool]] = ("age", False)

    def __init__(self, source: Source, *, filter: str = "", order: tuple[str, bool] | None = None) -> None:
        super().__init__(filter=filter, order=order)
        self._source = source

    async def read(self) -> Sequence[Operation]:
        """Those that match."""
        from engine.operations import progress

        found = await progress.list_operations(self._source.database(), self._source.settings.app, limit=MOST)
        words = self.filter.casefold().split()
        return [each for each in found if all(word in _text(each) for word in words)]

    def key(self, row: Operation) -> str:
        """Its id."""
        return row.id

    def narrowed(self, text: str) -> OperationListing:
        """Those that match another filter."""
        return OperationListing(self._source, filter=text, order=self.order)

    def again(self, order: tuple[str, bool]) -> OperationListing:
        """These in another order."""
        return OperationListing(self._source, filter=self.filter, order=order)


class OperationsPage(Page):
    """Redrives and replays, the newest first."""

    GROUP = "operation"
    AUTO_FOCUS = "Table"
    BINDINGS: ClassVar[list[BindingType]] = bindings("operation")

    def body(self) -> ComposeResult:
        """The list, and beside it the one under the cursor."""
        table: Table[Operation] = Table(
            self._columns(),
            OperationListing(self.source),
            noun="operations",
            empty="Nothing was redriven or replayed yet.",
            id="operations",
        )
        yield Split(table, Pager(id="preview"))

    def _columns(self) -> Sequence[Column[Operation]]:
        now = self.source.now
        return (
            Column("id", "OPERATION", lambda row: row.id, width=10),
            Column("kind", "KIND", lambda row: row.kind, width=7, rank=3),
            Column("state", "STATE", _state, width=18),
            Column("bar", "PROGRESS", _bar, width=_BAR, rank=1),
            Column("total", "OF", lambda row: count(row.total), width=6, right=True, sort=True, down=True),
            Column("failed", "FAILED", _failed, width=7, right=True, sort=True, down=True),
            Column("age", "AGE", lambda row: age(now() - row.created), width=4, right=True, sort=True),
            Column("who", "WHO", lambda row: row.who, width=12, grow=1, most=24, rank=4),
            Column("why", "WHY", lambda row: row.why, width=10, grow=2, rank=5),
        )

    @property
    def _table(self) -> Table[Operation]:
        return self.query_one("#operations", Table)

    def on_mount(self) -> None:
        """Look more often while something moves: somebody is watching."""
        super().on_mount()
        self.set_interval(LOOK, self._look)

    def _look(self) -> None:
        listing = self._table.listing
        moving = isinstance(listing, OperationListing) and any(row.state == "running" for row in listing.rows)
        if self.is_current and moving:
            self.refresh_now()

    async def fetch(self) -> None:
        """Read them."""
        listing = self._table.listing
        assert isinstance(listing, OperationListing)
        await listing.load()

    @on(Table.Moved)
    def _preview(self) -> None:
        row = self._table.row
        pager = self.query_one("#preview", Pager)
        if row is None:
            pager.show([])
        else:
            pager.fit(lambda width: operation_lines(row, self.source.now(), max(width - 2, 20)))

    @on(Table.Opened)
    def _open(self, message: Table.Opened) -> None:
        self.monitor.push_screen(OperationPage(message.row.id))

    def open(self, *, operation: str = "", **_: Any) -> None:
        """Show this operation."""
        if operation:
            self.monitor.push_screen(OperationPage(operation))

    def action_steer(self) -> None:
        """Pause it, or go on with it."""
        self.perform(steer(self, self._table.row), doing="steering the operation")

    def action_cancel(self) -> None:
        """Send nothing more of it, ever."""
        self.perform(cancel(self, self._table.row), doing="cancelling the operation")


def _text(row: Operation) -> str:
    return f"{row.id} {row.kind} {row.state} {row.who} {row.why} {row.target}".casefold()


def _state(row: Operation) -> Cell:
    shown = state(row)
    return Cell(str(shown), shown.tone)


def _bar(row: Operation) -> Sequence[Cell]:
    return [Cell(*part) for part in bar(row, _BAR)]


def _failed(row: Operation) -> Cell:
    return Cell(count(row.failed), "bad" if row.failed else "muted")
