"""Screen 6: who works, on what, and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType

from monitor.frame.detail import Detail
from monitor.frame.page import Page
from monitor.frame.split import Split
from monitor.keys import bindings
from monitor.table.memory import MemoryListing
from monitor.table.table import Table
from monitor.workers import wording
from monitor.workers.wording import WorkerRow

if TYPE_CHECKING:
    from engine.operations.fleet import Fleet


class WorkersPage(Page):
    """The workers of the application."""

    GROUP = "workers"
    BINDINGS: ClassVar[list[BindingType]] = bindings("workers")

    def body(self) -> ComposeResult:
        """The list, and the worker under the cursor beside it."""
        self.every = False
        now = self.source.now
        listing: MemoryListing[WorkerRow] = MemoryListing(
            (), key=lambda row: row.id, sorts=wording.SORTS, text=wording.searched
        )
        table = Table(
            wording.columns(now),
            listing,
            noun="workers",
            empty="No worker is alive: start one with `warren worker`. `a` shows those that ended.",
            live=False,
            id="workers",
        )
        yield Split(table, Detail(id="worker"))

    @property
    def table(self) -> Table[WorkerRow]:
        """The list."""
        return self.query_one("#workers", Table)

    async def fetch(self) -> Fleet | None:
        """What was last seen."""
        return self.source.fleet

    def show(self, found: Fleet | None) -> None:
        """Put it into the list."""
        if found is None:
            return
        self._moved()
        self.table.put(wording.living_rows(found.workers, every=self.every))

    @on(Table.Moved, "#workers")
    def _moved(self) -> None:
        row = self.table.row
        pane = self.query_one("#worker", Detail)
        if row is not None and self.query_one(Split).wide:
            pane.put(wording.detail(row, self.source.settings.app, self.source.now(), pane.size.width - 2))

    @on(Table.Opened, "#workers")
    def _opened(self, message: Table.Opened) -> None:
        from monitor.workers.one import WorkerPage

        self.monitor.push_screen(WorkerPage(message.row.id))

    def open(self, *, worker: str = "", **_: object) -> None:
        """Put the cursor on a worker."""
        if worker:
            self.table.go_to(worker)

    def action_show_all(self) -> None:
        """Also those that stopped or died, or no longer."""
        self.every = not self.every
        self.refresh_now()
