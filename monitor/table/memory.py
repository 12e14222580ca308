"""A listing over rows in memory: queues, workers, whatever is read whole."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic

from monitor.table.listing import Key, Place, Row


class MemoryListing(Generic[Row]):
    """Rows that fit in memory.

    `key` names a row; `sorts` has a value to sort by for each column that can be sorted, `text` is what a filter
    looks in. Without an `order` they stand as they were given; else ties stand in the order of the key, so that the
    order is always the same.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        *,
        key: Callable[[Row], Any],
        sorts: Mapping[str, Callable[[Row], Any]] | None = None,
        text: Callable[[Row], str] | None = None,
        order: tuple[str, bool] | None = None,
        filter: str = "",
        former: Mapping[Any, int] | None = None,
    ) -> None:
        self.filter = filter
        self.order = order
        self._key = key
        self._sorts = sorts or {}
        self._text = text or (lambda row: str(key(row)))
        self._all = list(rows)
        self._given = {key(row): index for index, row in enumerate(self._all)}
        #: Where rows stood that may be gone now.
        self._former = former or {}
        self._rows = self._matching()
        if self.order is not None:
            self._rows.sort(key=self.place)
        self._places = [self.place(row) for row in self._rows]
        self._by_key = dict(zip(map(key, self._rows), self._rows, strict=True))

    def put(self, rows: Sequence[Row]) -> MemoryListing[Row]:
        """The same filter and order over other rows."""
        return self._with(rows, self.order, self.filter, self._given)

    def key(self, row: Row) -> Key:
        """What the row is known by."""
        found: Key = self._key(row)
        return found

    def place(self, row: Row) -> Place:
        """Where it stands in this order."""
        if self.order is None:
            key = self._key(row)
            given = self._given.get(key)
            return self._former.get(key, len(self._all)) - 0.5 if given is None else given
        return (_comparable(self._sorts[self.order[0]](row), self.order[1]), self._key(row))

    async def count(self) -> int:
        """How many rows match."""
        return len(self._rows)

    async def before(self, place: Place) -> int:
        """How many rows stand before this place."""
        return bisect_left(self._places, place)

    async def find(self, key: Key) -> Row | None:
        """The row of this key."""
        return self._by_key.get(key)

    async def page(self, place: Place | None, *, skip: int = 0, limit: int, backwards: bool = False) -> Sequence[Row]:
        """Rows from a place on, or those before it."""
        if backwards:
            end = len(self._rows) if place is None else bisect_left(self._places, place)
            end = max(end - skip, 0)
            return self._rows[max(end - limit, 0) : end]
        start = 0 if place is None else bisect_left(self._places, place)
        return self._rows[start + skip : start + skip + limit]

    async def keys(self, first: Place | None = None, last: Place | None = None) -> Sequence[Key]:
        """The keys from one place to another."""
        start = 0 if first is None else bisect_left(self._places, first)
        found = self._rows[start:] if last is None else self._rows[start : bisect_left(self._places, last) + 1]
        return [self.key(row) for row in found]

    def narrowed(self, text: str) -> MemoryListing[Row]:
        """The rows that hold each word of the text, whatever its case."""
        return self._with(self._all, self.order, text)

    def sorted_by(self, column: str, descending: bool) -> MemoryListing[Row]:
        """These rows in another order."""
        return self._with(self._all, (column, descending), self.filter)

    def _with(
        self,
        rows: Sequence[Row],
        order: tuple[str, bool] | None,
        filter: str,
        former: Mapping[Any, int] | None = None,
    ) -> MemoryListing[Row]:
        return MemoryListing(
            rows,
            key=self._key,
            sorts=self._sorts,
            text=self._text,
            order=order,
            filter=filter,
            former=former or self._former,
        )

    def _matching(self) -> list[Row]:
        words = self.filter.casefold().split()
        return [row for row in self._all if self._matches(row, words)] if words else list(self._all)

    def _matches(self, row: Row, words: Sequence[str]) -> bool:
        text = self._text(row).casefold()
        return all(word in text for word in words)


def _comparable(value: Any, descending: bool) -> Any:
    """A value that sorts with others of its column: what is unknown comes last either way."""
    if value is None:
        return (1, 0)
    if isinstance(value, str):
        folded = value.casefold()
        return (0, (*(-ord(character) for character in folded), 1) if descending else folded)
    return (0, -value if descending else value)
