"""One projection, whole, with its error."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult

from engine import UsageError
from monitor.projections import wording
from monitor.projections.page import ProjectionActs
from monitor.projections.wording import ProjectionRow
from monitor.reading.pager import Pager

if TYPE_CHECKING:
    from engine.operations.projections import ProjectionState


class ProjectionPage(ProjectionActs):
    """All that is known of a projection."""

    AUTO_FOCUS = "Pager"
    DEFAULT_CSS: ClassVar[str] = """
    ProjectionPage Pager { height: 1fr; padding: 1 2; }
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._called = name
        self._row: ProjectionRow | None = None

    def body(self) -> ComposeResult:
        """Its facts."""
        yield Pager()

    async def fetch(self) -> ProjectionRow:
        """How it stands."""
        found = next((row for row in await self.read() if row.name == self._called), None)
        if found is None:
            raise UsageError(f"there is no projection {self._called} any more")
        return found

    def show(self, found: ProjectionRow) -> None:
        """Put it into words."""
        self._row = found
        self.refresh_bindings()
        self.query_one(Pager).show(wording.lines(found, self.source.now()))

    @property
    def current(self) -> ProjectionState | None:
        """This one."""
        return None if self._row is None else self._row.state
