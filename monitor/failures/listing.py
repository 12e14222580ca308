"""Failures as a table pages through them: by key, under a filter, the newest or the oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.operations.failures import Cursor, FailureRow, Filter
    from monitor.source.source import Source

#: The column that can be sorted by.
AGE = "age"
#: What a filter may say, in as many words as a narrow terminal has room for.
TERMS = "words, handler:… exception:… data.total=… newer:2h"


def parsed(source: Source, text: str) -> Filter:
    """What a filter line says, open failures unless it names a status. Raises `FilterError`."""
    from engine.operations.filtering import parse_filter

    return parse_filter(text, now=source.now())


class FailureListing:
    """Failures that match a filter; of one cause only where a `fingerprint` is given."""

    def __init__(
        self, source: Source, *, fingerprint: str | None = None, filter: str = "", descending: bool = True
    ) -> None:
        self.filter = filter
        self.order: tuple[str, bool] | None = (AGE, not descending)
        self.fingerprint = fingerprint
        self._source = source
        self._descending = descending
        parsed(source, filter)

    def wanted(self) -> Filter:
        """The filter as it stands at this moment: ages such as `newer:2h` are reckoned from now."""
        found = parsed(self._source, self.filter)
        return found if self.fingerprint is None else replace(found, fingerprint=self.fingerprint)

    def key(self, row: FailureRow) -> int:
        """The id of the failure."""
        return row.id

    def place(self, row: FailureRow) -> Cursor:
        """Its arrival, and its id."""
        return row.arrived, row.id

    async def count(self) -> int:
        """How many failures match."""
        from engine.operations import failures

        return await failures.count(self._source.database(), self.wanted())

    async def before(self, place: Cursor) -> int:
        """How many stand before this place."""
        from engine.operations import failures

        return await failures.before(self._source.database(), self.wanted(), place, oldest_first=not self._descending)

    async def find(self, key: Any) -> FailureRow | None:
        """The failure of this id, if it matches."""
        from engine.operations import failures

        wanted = replace(self.wanted(), ids=(key,))
        found = await failures.page(self._source.database(), wanted, limit=1, masking=self._source.masking, total=False)
        return found.rows[0] if found.rows else None

    async def page(
        self, place: Cursor | None, *, skip: int = 0, limit: int, backwards: bool = False
    ) -> Sequence[FailureRow]:
        """Failures from a place on, or those before it."""
        from engine.operations import failures

        oldest_first = self._descending == backwards
        found = await failures.page(
            self._source.database(),
            self.wanted(),
            limit=limit,
            masking=self._source.masking,
            after=place if backwards or place is None else _including(place, oldest_first),
            oldest_first=oldest_first,
            skip=skip,
            total=False,
        )
        return found.rows[::-1] if backwards else found.rows

    async def keys(self, first: Cursor | None = None, last: Cursor | None = None) -> Sequence[int]:
        """The ids from one place to another, frozen."""
        from engine.operations import failures

        newest, oldest = (first, last) if self._descending else (last, first)
        return await failures.ids(self._source.database(), self.wanted(), first=newest, last=oldest)

    def narrowed(self, text: str) -> FailureListing:
        """Those that match another filter."""
        return FailureListing(self._source, fingerprint=self.fingerprint, filter=text, descending=self._descending)

    def sorted_by(self, column: str, descending: bool) -> FailureListing:
        """By age: downwards are the oldest first."""
        return FailureListing(self._source, fingerprint=self.fingerprint, filter=self.filter, descending=not descending)


def _including(place: Cursor, oldest_first: bool) -> Cursor:
    """The cursor after which the failure at `place` itself comes first."""
    arrived, failure_id = place
    return arrived, failure_id - 1 if oldest_first else failure_id + 1
