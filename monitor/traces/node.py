"""One node of a trace to read: what is known of it, and the event itself where the log has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from monitor.frame.page import Page
from monitor.keys import bindings
from monitor.reading.lines import plain
from monitor.reading.pager import Pager
from monitor.reading.sections import body_part, joined
from monitor.traces import wording
from monitor.traces.wording import TraceRow

if TYPE_CHECKING:
    from engine.operations.events import EventDetail


class NodePage(Page):
    """A node as it was when it was opened."""

    AUTO_FOCUS = "Pager"
    GROUP = "node"
    BINDINGS: ClassVar[list[BindingType]] = bindings("node")
    DEFAULT_CSS: ClassVar[str] = """
    NodePage Pager { height: 1fr; padding: 1 2; }
    """

    def __init__(self, row: TraceRow) -> None:
        super().__init__()
        self._row = row
        self._read = False

    def body(self) -> ComposeResult:
        """Lines to read."""
        yield Pager()

    def on_mount(self) -> None:
        """What is known already."""
        super().on_mount()
        self._put(None)

    async def fetch(self) -> EventDetail | None:
        """The event, once: what is in the log does not change."""
        from engine.operations import events
        from engine.operations.trace import TracedEvent

        what = self._row.node.what
        if self._read or not isinstance(what, TracedEvent) or what.position is None:
            return None
        found = await events.one(self.source.database(), str(what.position), masking=self.source.masking)
        self._read = True
        return found

    def show(self, found: EventDetail | None) -> None:
        """Add the event."""
        if found is not None:
            self._put(found)

    def _put(self, found: EventDetail | None) -> None:
        told = wording.detail(self._row, self.source.now())
        self.query_one(Pager).show(told if found is None else [*told, *joined([body_part(found.message.body)])])

    def action_copy(self) -> None:
        """Copy all that is shown."""
        self.copy("\n".join(plain(each) for each in self.query_one(Pager).lines), "This")
