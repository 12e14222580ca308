"""Screen 8: the log of events, searched, and followed as it grows. Enter shows one whole."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult

from monitor.drawing import tones
from monitor.drawing.figures import rate
from monitor.events.listing import EventListing, parsed
from monitor.events.page import EventActs
from monitor.events.preview import event_lines
from monitor.events.wording import table_columns
from monitor.frame.saying import Saying
from monitor.frame.split import Split
from monitor.reading.beside import Beside
from monitor.table.table import Table

if TYPE_CHECKING:
    from engine.operations.events import LoggedEvent
    from monitor.reading.lines import Line
    from monitor.screens import Place

#: Looks over which the pace of the log is reckoned.
LOOKS = 10


class EventsPage(EventActs):
    """The log, the newest first. It begins with following what comes, until the cursor is moved away from the newest."""

    LISTS = True
    AUTO_FOCUS = "Table"
    DEFAULT_CSS: ClassVar[str] = """
    EventsPage .events--summary { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, place: Place | None = None) -> None:
        super().__init__(place)
        self._looks: deque[tuple[float, int]] = deque(maxlen=LOOKS)

    def body(self) -> ComposeResult:
        """A line that says how it stands, the events, and beside them the one under the cursor."""
        yield Saying(classes="events--summary")
        table: Table[LoggedEvent] = Table(
            table_columns(self.source.now),
            EventListing(self.source),
            noun="events",
            empty="The log has no events yet: it has what handlers emit, what the outbox publishes, what aggregates"
            " append, and what the setting journal asks for.",
            id="events",
        )
        yield Split(table, Beside(id="preview"))

    def on_mount(self) -> None:
        """Begin with what comes."""
        self._table.follow("first")
        super().on_mount()

    @property
    def _table(self) -> Table[LoggedEvent]:
        return self.query_one("#events", Table)

    async def fetch(self) -> tuple[float, int]:
        """How far the log is."""
        from engine.operations import events

        newest = await events.older(self.source.database(), parsed(self.source, ""), limit=1)
        return self.source.now(), newest[0].position if newest else 0

    def show(self, found: tuple[float, int]) -> None:
        """Say how it stands."""
        self._looks.append(found)
        self._say()

    @on(Table.FollowChanged)
    @on(Table.MarksChanged)
    def _say(self) -> None:
        table = self._table
        where = "newest" if self._descending else "newest, at the end"
        pieces: list[Any] = [(f"▶ following the {where}", "good")]
        if not table.following:
            pieces = [(f"{tones.PAUSED} not following", "warn"), (f"  {self._key} follows", "muted")]
        if self.source.held:
            pieces = [(f"{tones.PAUSED} held", "warn")]
        if len(self._looks) > 1:
            (began, first), (ended, last) = self._looks[0], self._looks[-1]
            if ended > began:
                pieces.append(f"   {rate(max(last - first, 0) / (ended - began))} events/s")
        if table.marked:
            pieces.append((f"   ✓ {table.marked:,} marked", "accent"))
        if table.listing.filter:
            pieces.append((f"   filter: {table.listing.filter}", "info"))
            if self._searches:
                from engine.operations.event_filtering import SEARCHED

                pieces.append((f"   text in bodies: the newest {SEARCHED:,} only", "warn"))
        self.query_one(".events--summary", Saying).say(*pieces)

    @property
    def _key(self) -> str:
        """The key that follows, as it may have been remapped."""
        keys = (one.binding for one in self.active_bindings.values() if one.binding.id == "events.follow")
        return next(map(self.app.get_key_display, keys), "f")

    @property
    def _searches(self) -> bool:
        listing = self._table.listing
        return isinstance(listing, EventListing) and bool(listing.wanted().texts)

    @property
    def _descending(self) -> bool:
        listing = self._table.listing
        return not isinstance(listing, EventListing) or listing.descending

    @on(Table.Moved, "#events")
    def _moved(self) -> None:
        row, beside = self._table.row, self.query_one(Beside)
        if row is None:
            beside.clear()
        else:
            beside.rest_on(row.position, row.position, partial(self._whole, row.position))

    async def _whole(self, position: int) -> Sequence[Line]:
        from engine.operations import events

        found = await events.whole(self.source.database(), [position], masking=self.source.masking)
        return await asyncio.to_thread(event_lines, found[0], self.source.now()) if found else []

    @on(Table.Opened, "#events")
    def _open(self, message: Table.Opened) -> None:
        from monitor.events.whole import EventPage

        self.monitor.push_screen(EventPage(message.row.position, self._table))

    @property
    def current(self) -> LoggedEvent | None:
        """The event under the cursor."""
        return self._table.row

    async def chosen(self) -> Sequence[int]:
        """Those that are marked, else that under the cursor."""
        return [int(str(key)) for key in await self._table.chosen()]

    def open(self, *, filter: str | None = None, show: str = "", **_: Any) -> None:
        """Show the events that match a filter, or `show` the streams or the projections."""
        while len(self.monitor.screen_stack) > 1:
            self.monitor.pop_screen()
        if filter is not None:
            self._table.narrow(filter)
        if show:
            getattr(self, f"action_{show}")()

    def action_follow(self) -> None:
        """Go to the newest, and stay there as more come; or stay where one is."""
        if self._table.following:
            self._table.follow(None)
        else:
            self._table.follow("first" if self._descending else "last")

    def action_streams(self) -> None:
        """Show all streams."""
        from monitor.streams.screen import StreamsPage

        self.monitor.push_screen(StreamsPage())

    def action_projections(self) -> None:
        """Show the projections."""
        from monitor.projections.screen import ProjectionsPage

        self.monitor.push_screen(ProjectionsPage())
