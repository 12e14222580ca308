"""A listing that is read whole, by a coroutine, and then answers from memory until it is loaded again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Self

from monitor.table.listing import Key, Place, Row
from monitor.table.memory import MemoryListing


class LoadedListing(Generic[Row]):
    """Rows that fit in memory, but not in one answer of `Page.fetch`. Subclasses say how they are read.

    `SORTS` has a value to sort by for each column that can be sorted, `ORDER` is the order it has by itself.
    """

    SORTS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    ORDER: ClassVar[tuple[str, bool] | None] = None

    def __init__(self, *, filter: str = "", order: tuple[str, bool] | None = None) -> None:
        self.filter = filter
        self.order = order or self.ORDER
        self.rows: Sequence[Row] = ()
        self._held: MemoryListing[Row] | None = None

    @abstractmethod
    async def read(self) -> Sequence[Row]:
        """The rows that match the filter, in any order."""

    @abstractmethod
    def key(self, row: Row) -> Key:
        """What the row is known by."""

    @abstractmethod
    def narrowed(self, text: str) -> Self:
        """The listing with another filter. Raises `FilterError`."""

    @abstractmethod
    def again(self, order: tuple[str, bool]) -> Self:
        """The listing with the same filter and another order, not loaded yet."""

    async def load(self) -> Sequence[Row]:
        """Read the rows anew."""
        self.hold(await self.read())
        return self.rows

    def place(self, row: Row) -> Place:
        """Where it stands in this order."""
        return (self._held or self._arranged(())).place(row)

    async def count(self) -> int:
        """How many rows there are."""
        return await (await self._loaded()).count()

    async def before(self, place: Place) -> int:
        """How many rows stand before this place."""
        return await (await self._loaded()).before(place)

    async def find(self, key: Key) -> Row | None:
        """The row of this key."""
        return await (await self._loaded()).find(key)

    async def page(self, place: Place | None, *, skip: int = 0, limit: int, backwards: bool = False) -> Sequence[Row]:
        """Rows from a place on, or those before it."""
        return await (await self._loaded()).page(place, skip=skip, limit=limit, backwards=backwards)

    async def keys(self, first: Place | None = None, last: Place | None = None) -> Sequence[Key]:
        """The keys from one place to another."""
        return await (await self._loaded()).keys(first, last)

    def sorted_by(self, column: str, descending: bool) -> Self:
        """These rows in another order."""
        other = self.again((column, descending))
        if self._held is not None:
            other.hold(self.rows)
        return other

    def hold(self, rows: Sequence[Row]) -> None:
        """Have these rows, in this order."""
        self.rows, self._held = rows, self._arranged(rows)

    def _arranged(self, rows: Sequence[Row]) -> MemoryListing[Row]:
        return MemoryListing(rows, key=self.key, sorts=self.SORTS, order=self.order)

    async def _loaded(self) -> MemoryListing[Row]:
        if self._held is None:
            await self.load()
        assert self._held is not None
        return self._held
