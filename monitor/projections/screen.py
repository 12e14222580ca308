"""The projections: how far each is behind the log, what stops it, and having it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult

from monitor.drawing import tones
from monitor.drawing.figures import counted
from monitor.drawing.text import Piece
from monitor.frame.saying import Saying
from monitor.frame.split import Split
from monitor.projections import wording
from monitor.projections.page import ProjectionActs
from monitor.projections.wording import ProjectionRow
from monitor.reading.pager import Pager
from monitor.source.pace import Pace
from monitor.table.memory import MemoryListing
from monitor.table.table import Table

if TYPE_CHECKING:
    from engine.operations.projections import ProjectionState


class ProjectionsPage(ProjectionActs):
    """The projections of the application. Enter shows one whole."""

    AUTO_FOCUS = "Table"
    DEFAULT_CSS: ClassVar[str] = """
    ProjectionsPage .projections--summary { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def body(self) -> ComposeResult:
        """A line that sums up, the list, and beside it the one under the cursor."""
        self._pace = Pace()
        yield Saying(("Projections", "strong"), classes="projections--summary")
        listing: MemoryListing[ProjectionRow] = MemoryListing(
            (), key=lambda row: row.name, sorts=wording.SORTS, text=wording.searched
        )
        table = Table(
            wording.table_columns(self.source.settings.app),
            listing,
            noun="projections",
            empty="There are no projections: decorate a function with @projection, and start a worker.",
            live=False,
            id="projections",
        )
        yield Split(table, Pager(id="projection"))

    @property
    def _table(self) -> Table[ProjectionRow]:
        return self.query_one("#projections", Table)

    async def fetch(self) -> list[ProjectionRow] | None:
        """All of them; None while it is too early to look again."""
        if not self._pace.due:
            return None
        await self.source.project()
        with self._pace.reading():
            return await self.read()

    def refresh_now(self) -> None:
        """Read again at once."""
        self._pace.hurry()
        super().refresh_now()

    def show(self, found: list[ProjectionRow] | None) -> None:
        """Put them into the list."""
        if found is None:
            return
        self._table.put(found)
        self._moved()
        pieces: list[Piece] = [(counted(len(found), "projection"), "strong")]
        stopped = sum(row.state.live.failed is not None for row in found)
        if stopped:
            pieces.append((f"   {tones.BAD} {stopped:,} stopped at an event", "bad"))
        late = sum(row.state.live.behind_s > wording.SLOW for row in found)
        if late:
            pieces.append((f"   {tones.WARN} {late:,} over a minute behind", "warn"))
        self.query_one(".projections--summary", Saying).say(*pieces)

    @on(Table.Moved, "#projections")
    def _moved(self) -> None:
        row = self._table.row
        self.refresh_bindings()
        if row is not None and self.query_one(Split).wide:
            self.query_one("#projection", Pager).show(wording.lines(row, self.source.now()))

    @on(Table.Opened, "#projections")
    def _opened(self, message: Table.Opened) -> None:
        from monitor.projections.one import ProjectionPage

        self.monitor.push_screen(ProjectionPage(message.row.name))

    @property
    def current(self) -> ProjectionState | None:
        """The projection under the cursor."""
        return None if self._table.row is None else self._table.row.state
