"""The audit as a table pages through it: the newest first, by the ids of its entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from monitor.audits.filtering import parse

if TYPE_CHECKING:
    from engine.operations.auditing import Entry
    from monitor.source.source import Source


class AuditListing:
    """Entries that match a filter."""

    def __init__(self, source: Source, *, filter: str = "") -> None:
        self.filter = filter
        self.order: tuple[str, bool] | None = None
        self._source = source
        parse(filter, source.now())

    def key(self, row: Entry) -> int:
        """Its id."""
        return row.id or 0

    def place(self, row: Entry) -> int:
        """Its id."""
        return row.id or 0

    def _wanted(self) -> dict[str, Any]:
        return parse(self.filter, self._source.now())._asdict()

    async def count(self) -> int:
        """How many entries match."""
        from engine.operations import auditing

        return await auditing.count(self._source.database(), **self._wanted())

    async def before(self, place: int) -> int:
        """How many newer ones match."""
        from engine.operations import auditing

        return await auditing.count(self._source.database(), above=place, **self._wanted())

    async def find(self, key: Any) -> Entry | None:
        """The entry of this id, if it matches."""
        found = await self._entries(before=key + 1, limit=1)
        return found[0] if found and found[0].id == key else None

    async def page(self, place: int | None, *, skip: int = 0, limit: int, backwards: bool = False) -> Sequence[Entry]:
        """Entries from a place on, or those before it."""
        if backwards:
            found = await self._entries(after=-1 if place is None else place, limit=limit + skip)
            return found[: max(len(found) - skip, 0)]
        found = await self._entries(before=None if place is None else place + 1, limit=limit + skip)
        return found[skip:]

    async def keys(self, first: int | None = None, last: int | None = None) -> Sequence[int]:
        """The ids from one place to another, as far as there are that many."""
        found = await self._entries(before=None if first is None else first + 1, limit=10_000)
        return [self.key(row) for row in found if last is None or self.key(row) >= last]

    def narrowed(self, text: str) -> AuditListing:
        """Those that match another filter."""
        return AuditListing(self._source, filter=text)

    def sorted_by(self, column: str, descending: bool) -> AuditListing:
        """There is no other order."""
        return self

    async def _entries(self, *, limit: int, before: int | None = None, after: int | None = None) -> Sequence[Entry]:
        from engine.operations import auditing

        database = self._source.database()
        return await auditing.entries(database, limit=limit, before=before, after=after, **self._wanted())
