"""One operation, live: how far it is, what became of its messages, and the reins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType

from monitor.drawing.figures import age
from monitor.drawing.tones import Tone
from monitor.frame.page import Page
from monitor.keys import bindings
from monitor.reading.pager import Pager
from monitor.redriving import alone
from monitor.redriving.describing import operation_lines
from monitor.redriving.items import ItemListing, StateListing
from monitor.table.columns import Cell, Column
from monitor.table.table import Table

if TYPE_CHECKING:
    from engine.operations.progress import Item, Operation

#: Seconds between two looks while it moves: somebody is watching.
LOOK = 0.25

_ITEMS: dict[str, tuple[str, Tone]] = {
    "waiting": ("░", "muted"),
    "sent": ("▒", "warn"),
    "succeeded": ("✓", "good"),
    "failed again": ("✗", "bad"),
    "failed otherwise": ("✗", "bad"),
    "skipped": ("–", "muted"),
}


class OperationPage(Page):
    """An operation with its messages. `mine`: it was started here, so where no worker lives this monitor performs it."""

    GROUP = "operation"
    AUTO_FOCUS = "Table"
    BINDINGS: ClassVar[list[BindingType]] = bindings("operation")
    DEFAULT_CSS: ClassVar[str] = """
    OperationPage Pager { height: auto; max-height: 60%; padding: 0 2; }
    OperationPage Table { height: 1fr; min-height: 6; }
    """

    def __init__(self, operation: str, *, mine: bool = False) -> None:
        super().__init__()
        self._operation_id = operation
        self._mine = mine
        self._operation: Operation | None = None

    def body(self) -> ComposeResult:
        """How far it is, and its messages."""
        now = self.source.now
        columns: Sequence[Column[Item]] = (
            Column("position", "#", lambda row: f"{row.position:,}", width=7, right=True),
            Column("state", "STATE", _state, width=18),
            Column("subject", "MESSAGE", self._subject, width=10),
            Column("verdict", "VERDICT", _verdict, width=12, grow=1),
            Column("run", "RUN", lambda row: "" if row.run is None else str(row.run), width=4, right=True, rank=2),
            Column("changed", "AGE", lambda row: age(now() - row.changed), width=4, right=True, rank=1),
        )
        yield Pager(id="progress")
        yield Table(
            columns,
            ItemListing(self.source, self._operation_id),
            noun="messages",
            terms="a state: waiting, sent, succeeded, failed …",
            empty="No message is in this state.",
            id="items",
        )

    def _subject(self, row: Item) -> str:
        replay = self._operation is not None and self._operation.kind != "redrive"
        return f"event {row.subject}" if replay else f"#{row.subject}"

    def on_mount(self) -> None:
        """Look more often than other screens do, and begin with it where nobody else would."""
        super().on_mount()
        self.set_interval(LOOK, self._look)
        if self._mine:
            alone.begin(self.monitor, self._operation_id)

    def _look(self) -> None:
        if self.is_current and self._operation is not None and self._operation.state in ("preparing", "running"):
            self.refresh_now()

    async def fetch(self) -> Operation:
        """How far it is."""
        from engine.operations import progress

        listing = self.query_one(Table).listing
        if isinstance(listing, StateListing):
            await listing.load()
        return await progress.one(self.source.database(), self._operation_id)

    def show(self, found: Operation) -> None:
        """Draw it. Whoever watches sees what became of a message as soon as it is counted."""
        before, self._operation = self._operation, found
        if before is not None and before.changed != found.changed:
            self.query_one(Table).reload()
        said = alone.said(self.source, found)
        pager = self.query_one("#progress", Pager)
        pager.fit(lambda width: operation_lines(found, self.source.now(), width, said))

    def action_steer(self) -> None:
        """Pause it, or go on with it."""
        self.perform(steer(self, self._operation), doing="steering the operation")

    def action_cancel(self) -> None:
        """Send nothing more of it, ever."""
        self.perform(cancel(self, self._operation), doing="cancelling the operation")

    @on(Table.Opened)
    def _open(self, message: Table.Opened) -> None:
        from monitor.failures.whole import MessagePage

        if self._operation is not None and self._operation.kind == "redrive":
            self.monitor.push_screen(MessagePage(message.row.subject))


def ended(operation: Operation) -> bool:
    """Whether nothing can be done to it any more."""
    return operation.state in ("done", "cancelled")


async def steer(page: Page, operation: Operation | None) -> None:
    """Pause what runs, resume what is paused or was stopped."""
    from engine.operations import steering

    if operation is None:
        return
    if ended(operation):
        page.tell(f"{operation.id} is {operation.state}.")
        return
    database, by = page.source.database(), page.source.operator
    if operation.state == "running":
        await steering.pause(database, operation.id, operator=by)
        page.tell(f"Paused {operation.id}. P goes on with it.")
    else:
        await steering.resume(database, operation.id, operator=by)
        page.tell(f"{operation.id} goes on.", "good")
        alone.begin(page.monitor, operation.id)


async def cancel(page: Page, operation: Operation | None) -> None:
    """Cancel it, after a question."""
    from engine.operations import steering
    from monitor.frame.dialogs import Question

    if operation is None:
        return
    if ended(operation):
        page.tell(f"{operation.id} is {operation.state}; there is nothing to cancel.")
        return
    lines = [f"{operation.sent:,} are sent and stay so; {operation.waiting:,} will not be sent."]
    if await page.confirm(Question(f"Cancel {operation.kind} {operation.id}?", lines, verb="Cancel it")):
        await steering.cancel(page.source.database(), operation.id, operator=page.source.operator)
        page.tell(f"Cancelled {operation.id}.")


def _state(row: Item) -> Cell:
    glyph, tone = _ITEMS.get(row.state, ("·", ""))
    return Cell(f"{glyph} {row.state}", tone)


def _verdict(row: Item) -> Any:
    return Cell(row.verdict.replace("_", " "), "muted")
