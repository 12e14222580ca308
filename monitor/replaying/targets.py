"""Choosing the handler that events are replayed to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from monitor.drawing import tones
from monitor.drawing.text import line
from monitor.failures.wording import counted
from monitor.frame.page import Page
from monitor.replaying.plan import ReplayPage
from monitor.table.columns import Cell, Column
from monitor.table.memory import MemoryListing
from monitor.table.table import Table

if TYPE_CHECKING:
    from engine.operations.events import LoggedEvent
    from engine.operations.replay import Target


class TargetRow(NamedTuple):
    """A handler; `asks`: for events such as the one under the cursor."""

    target: Target
    asks: bool


class TargetsPage(Page):
    """The handlers, those first that ask for events like this one. Enter makes the plan; nothing is sent by it."""

    AUTO_FOCUS = "Table"
    DEFAULT_CSS: ClassVar[str] = """
    TargetsPage .targets--title { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, positions: Sequence[int], *, like: LoggedEvent | None = None) -> None:
        super().__init__()
        self._positions = tuple(positions)
        self._like = like

    def body(self) -> ComposeResult:
        """The question, and the handlers."""
        title = f"Replay {counted(len(self._positions), 'event')} to which handler?"
        hint = "   enter makes a plan; nothing is sent yet"
        yield Static(line((title, "strong"), (hint, "muted")), classes="targets--title", markup=False)
        listing: MemoryListing[TargetRow] = MemoryListing(
            (), key=lambda row: row.target.queue, text=lambda row: f"{row.target.queue} {' '.join(row.target.patterns)}"
        )
        columns = (
            Column("handler", "HANDLER", _handler, width=20, grow=1, most=40),
            Column("queue", "QUEUE", lambda row: row.target.queue, width=20, grow=2, most=60, rank=1),
            Column("asks", "ASKS FOR", lambda row: ", ".join(row.target.patterns), width=20, grow=2),
        )
        empty = "No handler is known: a worker declares them when it starts."
        yield Table(columns, listing, noun="handlers", empty=empty, live=False, id="targets")

    async def fetch(self) -> list[TargetRow]:
        """The handlers that events can go to."""
        from engine.operations import replay

        project = await self.source.project()
        found = await replay.targets(self.source.database(), self.source.settings.app, project.handlers)
        key = "" if self._like is None else self._like.routing_key
        rows = [TargetRow(target, self._like is None or target.wants(key)) for target in found]
        return sorted(rows, key=lambda row: not row.asks)

    def show(self, found: list[TargetRow]) -> None:
        """Put them into the list."""
        self.query_one("#targets", Table).put(found)

    @on(Table.Opened, "#targets")
    def _opened(self, message: Table.Opened) -> None:
        self.monitor.switch_screen(ReplayPage(self._positions, message.row.target))


def _handler(row: TargetRow) -> Sequence[Cell]:
    glyph = Cell(f"{tones.GOOD} ", "good") if row.asks else Cell(f"{tones.IDLE} ", "muted")
    return [glyph, Cell(row.target.handler, "strong" if row.asks else "muted")]
