"""The log as a table pages through it: by position, under a filter, the newest or the oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.operations.events import EventFilter, LoggedEvent
    from monitor.source.source import Source

#: The column that can be sorted by.
LOGGED = "logged"
#: Seconds after which all is counted anew; until then only what came since is added.
RECOUNT = 30.0


def parsed(source: Source, text: str) -> EventFilter:
    """What a filter line says. Raises `FilterError`."""
    from engine.operations.event_filtering import parse_event_filter

    return parse_event_filter(text, now=source.now())


class EventListing:
    """Events that match a filter."""

    def __init__(self, source: Source, *, filter: str = "", descending: bool = True) -> None:
        self.filter = filter
        self.order: tuple[str, bool] | None = (LOGGED, descending)
        self._source = source
        self._descending = descending
        #: How many there were up to a position, and when that is counted anew.
        self._counted = (0, 0, 0.0)
        if filter:
            parsed(source, filter)

    @property
    def descending(self) -> bool:
        """Whether the newest comes first."""
        return self._descending

    def wanted(self) -> EventFilter:
        """The filter as it stands at this moment: ages such as `newer:2h` are reckoned from now."""
        return parsed(self._source, self.filter)

    def key(self, row: LoggedEvent) -> int:
        """Its position."""
        return row.position

    def place(self, row: LoggedEvent) -> int:
        """Its position."""
        return row.position

    async def count(self) -> int:
        """How many events match."""
        from engine.operations import events

        database, wanted = self._source.database(), self.wanted()
        number, position, due = self._counted
        top = await events.older(database, wanted, limit=1)
        newest = top[0].position if top else 0
        if monotonic() >= due:
            number, due = await events.count(database, wanted, before=newest + 1), monotonic() + RECOUNT
        elif newest > position:
            number += await events.count(database, wanted, after=position, before=newest + 1)
        self._counted = number, newest, due
        return number if newest else 0

    async def before(self, place: int) -> int:
        """How many stand before this place."""
        from engine.operations import events

        if self._descending:
            return await events.count(self._source.database(), self.wanted(), after=place)
        return await events.count(self._source.database(), self.wanted(), before=place)

    async def find(self, key: Any) -> LoggedEvent | None:
        """The event of this position, if it matches."""
        from engine.operations import events

        found = await events.older(self._source.database(), self.wanted(), limit=1, before=key + 1)
        return found[0] if found and found[0].position == key else None

    async def page(
        self, place: int | None, *, skip: int = 0, limit: int, backwards: bool = False
    ) -> Sequence[LoggedEvent]:
        """Events from a place on, or those before it."""
        from engine.operations import events

        database, wanted = self._source.database(), self.wanted()
        rows: list[LoggedEvent]
        if self._descending != backwards:
            before = None if place is None else place + (not backwards)
            rows = await events.older(database, wanted, limit=limit, before=before, skip=skip)
        else:
            after = 0 if place is None else place - (not backwards)
            rows = await events.newer(database, wanted, limit=limit, after=after, skip=skip)
        return rows[::-1] if backwards else rows

    async def keys(self, first: int | None = None, last: int | None = None) -> Sequence[int]:
        """The positions from one place to another, frozen."""
        from engine.operations import events

        low, high = (last, first) if self._descending else (first, last)
        return await events.positions(self._source.database(), self.wanted(), first=low or 0, last=high)

    def narrowed(self, text: str) -> EventListing:
        """Those that match another filter."""
        return EventListing(self._source, filter=text, descending=self._descending)

    def sorted_by(self, column: str, descending: bool) -> EventListing:
        """By when they were logged: downwards are the newest first."""
        return EventListing(self._source, filter=self.filter, descending=descending)
