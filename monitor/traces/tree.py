"""One trace: the tree of events, what handlers made of them, failures, and what operators did."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.events import Resize
from textual.widgets import Static

from monitor.drawing.text import line
from monitor.frame.page import Page
from monitor.frame.saying import Saying
from monitor.frame.split import Split
from monitor.reading.pager import Pager
from monitor.source.pace import Pace
from monitor.table.memory import MemoryListing
from monitor.table.table import Table
from monitor.traces import wording
from monitor.traces.asking import ask
from monitor.traces.node import NodePage
from monitor.traces.table import TraceTable
from monitor.traces.wording import TraceRow

if TYPE_CHECKING:
    from engine.operations.trace import Trace, Tracer


class TracePage(Page):
    """The trace of a correlation id, an event or a failure, read again while it goes on.

    The cursor begins at the node of the key `at`. `back`: the screen with a number that escape leads to.
    """

    DEFAULT_CSS: ClassVar[str] = """
    TracePage .trace--head { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, reference: str, *, at: str = "", back: str = "") -> None:
        super().__init__()
        self._reference = reference
        self._at = at
        self._back = back
        self._pace = Pace()
        self._tracer: Tracer | None = None
        self._trace: Trace | None = None

    def body(self) -> ComposeResult:
        """What it is, the sums, the tree, and beside it the node under the cursor."""
        yield Static(line(("correlation ", "muted"), self._reference), classes="trace--head", id="name", markup=False)
        yield Saying(id="sums", classes="trace--head")
        listing: MemoryListing[TraceRow] = MemoryListing((), key=lambda row: row.key, text=lambda row: row.text)
        table = TraceTable(wording.tree_columns(), listing, empty="…", noun="lines", live=False, id="tree")
        yield Split(table, Pager(id="node"))

    @property
    def _table(self) -> Table[TraceRow]:
        return self.query_one("#tree", Table)

    async def fetch(self) -> tuple[Trace, Sequence[TraceRow]] | None:
        """The trace and its lines; None while it is too early to look again."""
        from engine.operations.trace import Tracer

        if not self._pace.due:
            return None
        self._tracer = self._tracer or Tracer()
        with self._pace.reading():
            found = await self._tracer.trace(
                self.source.database(), self._reference, masking=self.source.masking, now=self.source.now()
            )
            if found is self._trace:
                return None
            return found, await asyncio.to_thread(wording.rows, found)  # many take long

    def refresh_now(self) -> None:
        """Read again at once."""
        self._pace.hurry()
        super().refresh_now()

    def show(self, read: tuple[Trace, Sequence[TraceRow]] | None) -> None:
        """Put it into the tree; where nothing changed, nothing is touched."""
        if read is None:
            return
        found, rows = read
        first, self._trace = self._trace is None, found
        self.query_one("#name", Static).update(
            line(("correlation ", "muted"), (found.correlation_id, "strong")), layout=False
        )
        self.query_one("#sums", Saying).say(*wording.summary(found, self.source.now()))
        self._table.put(rows)
        if first and self._at:
            self._table.go_to(self._at)
        self._beside()

    @on(Table.Moved, "#tree")
    def _beside(self) -> None:
        row = self._table.row
        if row is not None and self.query_one(Split).wide:
            self.query_one("#node", Pager).show(wording.detail(row, self.source.now()))

    def on_resize(self, event: Resize) -> None:
        """There may be room now for what is beside the tree."""
        self.call_after_refresh(self._beside)

    @on(Table.Opened, "#tree")
    def _opened(self, message: Table.Opened) -> None:
        from monitor.failures.whole import MessagePage

        failure = self._failure(message.row)
        self.monitor.push_screen(NodePage(message.row) if failure is None else MessagePage(failure))

    def _failure(self, row: TraceRow) -> int | None:
        """The failure that a row is, or that ended what it is."""
        from engine.operations.trace import TracedFailure

        if isinstance(row.node.what, TracedFailure):
            return row.node.what.id
        if row.state != "dead" or self._trace is None:
            return None
        nodes = self._trace.nodes
        here = next((place for place, node in enumerate(nodes) if node.key == row.key), None)
        below = [node.what for node in nodes if node.parent is not None and node.parent == here]
        return next((what.id for what in reversed(below) if isinstance(what, TracedFailure)), None)

    @on(Table.Copied)
    def _copied(self, message: Table.Copied) -> None:
        """Copy what the row is, with its ids, in place of its columns."""
        message.stop()
        message.prevent_default()
        row = self._table.row
        if row is not None:
            self.copy(wording.copied(row), "The line")

    def action_find(self) -> None:
        """Ask for another id, and show its trace in this one's place."""
        self.perform(self._find(), doing="tracing it")

    async def _find(self) -> None:
        found = await ask(self)
        if found is not None:
            self.monitor.switch_screen(TracePage(found, back=self._back))

    def action_back(self) -> None:
        """One step back; from the trace to where it was asked for."""
        monitor, depth = self.monitor, len(self.monitor.screen_stack)
        super().action_back()
        if self._back and len(monitor.screen_stack) < depth:
            monitor.go(self._back)
