"""One worker, for terminals that have no room for it beside the list."""

from __future__ import annotations

from textual.app import ComposeResult

from monitor.frame.detail import Detail
from monitor.frame.page import Page
from monitor.workers import wording
from monitor.workers.wording import WorkerRow


class WorkerPage(Page):
    """All that is known of a worker."""

    DEFAULT_CSS = """
    WorkerPage Detail { padding: 1 2; height: 1fr; }
    """

    def __init__(self, worker: str) -> None:
        super().__init__()
        self._worker = worker

    def body(self) -> ComposeResult:
        """Its facts."""
        yield Detail()

    async def fetch(self) -> WorkerRow | None:
        """What was last seen of it."""
        from engine.operations.workers import summed_up

        fleet = self.source.fleet
        found = () if fleet is None else fleet.workers
        return next((WorkerRow(worker, summed_up(worker)) for worker in found if worker.id == self._worker), None)

    def show(self, found: WorkerRow | None) -> None:
        """Put it into words."""
        if found is not None:
            pane = self.query_one(Detail)
            width = min(pane.size.width - 4, 76)
            pane.put(wording.detail(found, self.source.settings.app, self.source.now(), width))
