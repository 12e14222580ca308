"""The history of one stream: its versions, and beside them what the aggregate was at the one under the cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult

from monitor.drawing.figures import count
from monitor.events.listing import LOGGED
from monitor.events.page import EventActs
from monitor.events.wording import stamp
from monitor.frame.saying import Saying
from monitor.frame.split import Split
from monitor.reading.beside import Beside
from monitor.streams.lines import version_lines
from monitor.streams.listing import VersionListing
from monitor.streams.reading import look
from monitor.table.columns import Cell, Column
from monitor.table.table import Table

if TYPE_CHECKING:
    from engine.operations.events import LoggedEvent
    from engine.operations.streams import FoundStream, StreamId
    from monitor.reading.lines import Line


class HistoryPage(EventActs):
    """The versions of a stream, the newest first. `at`: the version that the cursor begins at."""

    AUTO_FOCUS = "Table"
    DEFAULT_CSS: ClassVar[str] = """
    HistoryPage .history--summary { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, stream: StreamId, *, at: int | None = None) -> None:
        super().__init__()
        self._stream = stream
        self._at = at

    def body(self) -> ComposeResult:
        """A line that says which stream it is, its versions, and beside them the state."""
        yield Saying(classes="history--summary")
        listing = VersionListing(self.source, self._stream)
        table: Table[LoggedEvent] = Table(
            _columns(self.source.now),
            listing,
            noun="versions",
            empty="The stream has no events any more.",
            id="versions",
        )
        yield Split(table, Beside(id="state"))

    @property
    def _table(self) -> Table[LoggedEvent]:
        return self.query_one("#versions", Table)

    async def fetch(self) -> tuple[FoundStream | None, LoggedEvent | None, str]:
        """How far the stream is, the event to begin at, and why its states are not known."""
        from engine.operations import streams

        found = await streams.find(self.source.database(), self._stream)
        listing, at = self._table.listing, None
        if self._at is not None and isinstance(listing, VersionListing):
            at = await listing.at(self._at)
        known = (await self.source.project()).aggregate(self._stream.aggregate_type)
        return found, at, known if isinstance(known, str) else ""

    def show(self, found: tuple[FoundStream | None, LoggedEvent | None, str]) -> None:
        """Say how it stands, and go to the version that was asked for."""
        stream, at, why_not = found
        if at is not None:
            self._at = None
            self._table.go_to(at.position)
        pieces: list[Any] = [(str(self._stream), "strong")]
        if stream is not None:
            pieces.append((f"   at version {count(stream.version)}", "info"))
        pieces.append((f"   ▲ no state: {why_not}", "warn") if why_not else ("   enter shows the state", "muted"))
        self.query_one(".history--summary", Saying).say(*pieces)

    @on(Table.Moved, "#versions")
    def _moved(self) -> None:
        row, beside = self._table.row, self.query_one(Beside)
        if row is None or row.version is None:
            beside.clear()
        else:
            beside.rest_on(row.version, row.version, partial(self._state, row.version))

    async def _state(self, version: int) -> Sequence[Line]:
        seen = await look(self.source, self._stream, version)
        return [] if seen is None else await asyncio.to_thread(version_lines, seen, self.source.now())

    @on(Table.Opened, "#versions")
    def _open(self, message: Table.Opened) -> None:
        from monitor.streams.version import VersionPage

        self.monitor.push_screen(VersionPage(self._stream, message.row, self._table))

    @property
    def current(self) -> LoggedEvent | None:
        """The event of the version under the cursor."""
        return self._table.row

    async def chosen(self) -> list[int]:
        """Those that are marked, else that under the cursor."""
        return [int(str(key)) for key in await self._table.chosen()]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """It is the history."""
        return False if action == "history" else super().check_action(action, parameters)


def _columns(now: Callable[[], float]) -> list[Column[LoggedEvent]]:
    return [
        Column("version", "VERSION", lambda row: f"{row.version:,}", width=7, right=True),
        Column(LOGGED, "LOGGED", lambda row: stamp(row.recorded, now()), width=11, right=True, sort=True, down=True),
        Column("type", "TYPE", lambda row: Cell(row.event_type, "strong"), width=18, grow=2, most=44),
        Column("correlation", "CORRELATION", lambda row: row.correlation_id or "", width=14, grow=1, most=40, rank=1),
        Column("position", "POSITION", lambda row: f"{row.position:,}", width=9, right=True, rank=2),
        Column("source", "SOURCE", lambda row: Cell(row.source, "muted"), width=8, grow=1, most=20, rank=3),
    ]
