"""Streams, and the versions of one, as a table pages through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from monitor.events.listing import EventListing

if TYPE_CHECKING:
    from engine.operations.events import EventFilter, LoggedEvent
    from engine.operations.streams import FoundStream, StreamId
    from monitor.source.source import Source

#: Streams that `*` marks at most.
MOST = 10_000


class StreamListing:
    """All streams by type and id; the filter is what they begin with."""

    def __init__(self, source: Source, *, filter: str = "") -> None:
        self.filter = filter
        self.order: tuple[str, bool] | None = None
        self._source = source

    def _wanted(self) -> Any:
        from engine.operations import streams

        return streams.beginning(self.filter)

    def key(self, row: FoundStream) -> StreamId:
        """Its name."""
        return row.stream

    def place(self, row: FoundStream) -> StreamId:
        """Its name."""
        return row.stream

    async def count(self) -> int:
        """How many there are."""
        from engine.operations import streams

        return await streams.count(self._source.database(), self._wanted())

    async def before(self, place: StreamId) -> int:
        """How many stand before this one."""
        from engine.operations import streams

        return await streams.count(self._source.database(), self._wanted(), before=place)

    async def find(self, key: Any) -> FoundStream | None:
        """The stream of this name, if it matches."""
        found = await self.page(key, limit=1)
        return found[0] if found and found[0].stream == key else None

    async def page(
        self, place: StreamId | None, *, skip: int = 0, limit: int, backwards: bool = False
    ) -> Sequence[FoundStream]:
        """Streams from a place on, or those before it."""
        from engine.operations import streams

        rows = await streams.page(
            self._source.database(), self._wanted(), place=place, backwards=backwards, skip=skip, limit=limit
        )
        return rows[::-1] if backwards else rows

    async def keys(self, first: StreamId | None = None, last: StreamId | None = None) -> Sequence[StreamId]:
        """The names from one to another."""
        rows = await self.page(first, limit=MOST)
        names = [row.stream for row in rows]
        return names[: names.index(last) + 1] if last in names else names

    def narrowed(self, text: str) -> StreamListing:
        """Those that begin with another text."""
        return StreamListing(self._source, filter=text)

    def sorted_by(self, column: str, descending: bool) -> StreamListing:
        """There is no other order."""
        return self


class VersionListing(EventListing):
    """The events of one stream, by their positions, which are in the order of the versions."""

    def __init__(self, source: Source, stream: StreamId, *, filter: str = "", descending: bool = True) -> None:
        self._stream = stream
        super().__init__(source, filter=filter, descending=descending)

    def wanted(self) -> EventFilter:
        """What of the stream matches."""
        from dataclasses import replace

        kind, name = self._stream
        return replace(super().wanted(), aggregate_type=kind, aggregate_id=name, in_stream=True)

    async def at(self, version: int) -> LoggedEvent | None:
        """The event of a version."""
        from engine.operations import streams

        found = await streams.history(
            self._source.database(), self._stream, after=version - 1, until=version, masking=self._source.masking
        )
        return found[0].row if found else None

    def narrowed(self, text: str) -> VersionListing:
        """Those that match another filter."""
        return VersionListing(self._source, self._stream, filter=text, descending=self.descending)

    def sorted_by(self, column: str, descending: bool) -> VersionListing:
        """By version: downwards are the newest first."""
        return VersionListing(self._source, self._stream, filter=self.filter, descending=descending)
