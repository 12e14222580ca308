"""Choosing the handler that events are replayed to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from monitor.drawing import tones
from monitor.drawing.figures import counted
from monitor.drawing.text import line
from monitor.frame.page import Page
from monitor.replaying.plan import ReplayPage
from monitor.table.columns import Cell, Column
from monitor.table.memory import MemoryListing
from monitor.table.table import Table

if TYPE_CHECKING:
    from engine.operations.replay import Target

#: Chosen events that are looked at, to say how many of them a handler asks for.
LOOKED = 1000


class TargetRow(NamedTuple):
    """A handler, and how many it asks for of the chosen events that were `looked` at."""

    target: Target
    takes: int
    looked: int


class TargetsPage(Page):
    """The handlers, those first that ask for most of these events. Enter makes the plan; nothing is sent by it."""

    AUTO_FOCUS = "Table"
    DEFAULT_CSS: ClassVar[str] = """
    TargetsPage .targets--title { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, positions: Sequence[int]) -> None:
        super().__init__()
        self._positions = tuple(positions)

    def body(self) -> ComposeResult:
        """The question, and the handlers."""
        title = f"Replay {counted(len(self._positions), 'event')} to which handler?"
        hint = "   enter makes a plan; nothing is sent yet"
        yield Static(line((title, "strong"), (hint, "muted")), classes="targets--title", markup=False)
        listing: MemoryListing[TargetRow] = MemoryListing(
            (), key=lambda row: row.target.queue, text=lambda row: f"{row.target.queue} {' '.join(row.target.patterns)}"
        )
        columns: Sequence[Column[TargetRow]] = (
            Column("handler", "HANDLER", _handler, width=20, grow=1, most=40),
            Column("takes", "TAKES", _takes, width=10, right=True),
            Column("queue", "QUEUE", lambda row: row.target.queue, width=20, grow=2, most=60, rank=1),
            Column("asks", "ASKS FOR", lambda row: ", ".join(row.target.patterns), width=20, grow=2),
        )
        empty = "No handler is known: a worker declares them when it starts."
        yield Table(columns, listing, noun="handlers", empty=empty, live=False, id="targets")

    async def fetch(self) -> list[TargetRow]:
        """The handlers that events can go to."""
        from engine.operations import events, replay

        database, project = self.source.database(), await self.source.project()
        found = await replay.targets(database, self.source.settings.app, project.handlers)
        chosen = events.EventFilter(positions=self._positions[:LOOKED])
        keys = Counter(row.routing_key for row in await events.older(database, chosen, limit=LOOKED))
        rows = [TargetRow(each, sum(keys[key] for key in keys if each.wants(key)), keys.total()) for each in found]
        return sorted(rows, key=lambda row: -row.takes)

    def show(self, found: list[TargetRow]) -> None:
        """Put them into the list."""
        self.query_one("#targets", Table).put(found)

    @on(Table.Opened, "#targets")
    def _opened(self, message: Table.Opened) -> None:
        self.monitor.switch_screen(ReplayPage(self._positions, message.row.target))


def _handler(row: TargetRow) -> Sequence[Cell]:
    glyph = Cell(f"{tones.GOOD} ", "good") if row.takes else Cell(f"{tones.IDLE} ", "muted")
    return [glyph, Cell(row.target.handler, "strong" if row.takes else "muted")]


def _takes(row: TargetRow) -> Cell:
    return Cell(f"{row.takes:,} of {row.looked:,}", "" if row.takes else "muted")
