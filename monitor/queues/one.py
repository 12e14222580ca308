"""One queue, for terminals that have no room for it beside the list."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from monitor.frame.detail import Detail
from monitor.frame.page import Page
from monitor.keys import bindings
from monitor.queues import wording

if TYPE_CHECKING:
    from engine.operations.fleet import QueueFigures


class QueuePage(Page):
    """All that is known of a queue."""

    GROUP = "queues"
    BINDINGS: ClassVar[list[BindingType]] = bindings("queues")

    DEFAULT_CSS = """
    QueuePage Detail { padding: 1 2; height: 1fr; }
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name_of_queue = name

    def body(self) -> ComposeResult:
        """Its facts."""
        yield Detail()

    @property
    def queue(self) -> QueueFigures | None:
        """The queue as it was last seen."""
        fleet = self.source.fleet
        found = () if fleet is None else fleet.queues
        return next((queue for queue in found if queue.name == self._name_of_queue), None)

    async def fetch(self) -> QueueFigures | None:
        """What was last seen of it."""
        return self.queue

    def show(self, found: QueueFigures | None) -> None:
        """Put it into words."""
        if found is not None:
            pane = self.query_one(Detail)
            pane.put(wording.detail(found, self.source.now(), pane.size.width - 4))

    def action_pause(self) -> None:
        """Pause it, or resume it."""
        from monitor.queues.screen import toggle

        if self.queue is not None:
            self.perform(toggle(self, [self.queue]), doing="pausing or resuming the queue")
