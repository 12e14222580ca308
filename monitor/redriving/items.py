"""The messages of an operation as a table pages through them: in the order of sending, by their positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine import FilterError
from monitor.table.listing import Listing
from monitor.table.loaded import LoadedListing

if TYPE_CHECKING:
    from engine.operations.progress import Item
    from monitor.source.source import Source

#: States of a message, as they are typed in a filter.
STATES = ("waiting", "sent", "succeeded", "failed again", "failed otherwise", "skipped")
#: Messages that are listed where a filter is set.
MOST = 5000


class ItemListing:
    """All messages of one operation. Their positions are counted from 1 without a gap."""

    def __init__(self, source: Source, operation: str) -> None:
        self.filter = ""
        self.order: tuple[str, bool] | None = None
        self._source = source
        self._operation = operation

    def key(self, row: Item) -> int:
        """Its position."""
        return row.position

    def place(self, row: Item) -> int:
        """Its position."""
        return row.position

    async def count(self) -> int:
        """How many there are."""
        from engine.operations import progress

        return (await progress.one(self._source.database(), self._operation)).total

    async def before(self, place: int) -> int:
        """How many stand before this position."""
        return max(place - 1, 0)

    async def find(self, key: Any) -> Item | None:
        """The message at this position."""
        found = await self._read(key, 1)
        return found[0] if found else None

    async def page(self, place: int | None, *, skip: int = 0, limit: int, backwards: bool = False) -> Sequence[Item]:
        """Messages from a position on, or those before it."""
        if not backwards:
            return await self._read((1 if place is None else place) + skip, limit)
        end = (await self.count() + 1 if place is None else place) - skip
        start = max(end - limit, 1)
        return await self._read(start, end - start) if end > start else ()

    async def keys(self, first: int | None = None, last: int | None = None) -> Sequence[int]:
        """The positions from one to another."""
        return range(first or 1, (await self.count() if last is None else last) + 1)

    def narrowed(self, text: str) -> Listing[Item]:
        """Those in one state, by its name or a beginning of it."""
        return narrowed(self._source, self._operation, text)

    def sorted_by(self, column: str, descending: bool) -> ItemListing:
        """There is no other order."""
        return self

    async def _read(self, first: int, limit: int) -> Sequence[Item]:
        from engine.operations import progress

        return await progress.items(self._source.database(), self._operation, limit=limit, after=first - 1)


class StateListing(LoadedListing["Item"]):
    """The first messages of an operation that are in one state."""

    def __init__(self, source: Source, operation: str, state: str) -> None:
        super().__init__(filter=state)
        self._source = source
        self._operation = operation

    async def read(self) -> Sequence[Item]:
        """The messages in this state."""
        from engine.operations import progress

        database, state = self._source.database(), progress.ItemState(self.filter)
        return await progress.items(database, self._operation, state=state, limit=MOST)

    def key(self, row: Item) -> int:
        """Its position."""
        return row.position

    def narrowed(self, text: str) -> Any:
        """Those in another state, or all."""
        return narrowed(self._source, self._operation, text)

    def again(self, order: tuple[str, bool]) -> StateListing:
        """There is no other order."""
        return StateListing(self._source, self._operation, self.filter)


def narrowed(source: Source, operation: str, text: str) -> Listing[Item]:
    """The messages in the state whose name begins with `text`, all of them for none. Raises `FilterError`."""
    word = text.strip().casefold()
    if not word:
        return ItemListing(source, operation)
    state = next((state for state in STATES if state.startswith(word)), None)
    if state is None:
        hint = f"There are: {', '.join(STATES)}."
        raise FilterError(f"no message is in the state {text.strip()!r}", hint=hint, column=0, width=len(text))
    return StateListing(source, operation, state)
