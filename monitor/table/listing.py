"""What a table shows: an ordered list of rows that may be longer than memory.

A listing has an order and a filter that never change; `narrowed` and `sorted_by` answer
another listing. A row is known by its key, and found again by its place, the values that
the order goes by. The table counts and jumps, but never asks for all rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

Row = TypeVar("Row")

Key: TypeAlias = Hashable
#: Where a row stands in the order of its listing; opaque to the table.
Place: TypeAlias = Any


class Listing(Protocol[Row]):
    """The contract. Coroutines run in tasks of the event loop, so what takes long belongs in a thread."""

    #: What `narrowed` was last called with, or nothing.
    filter: str
    #: The column it is ordered by, and whether downwards; None for the order it has by itself.
    order: tuple[str, bool] | None

    def key(self, row: Row) -> Key:
        """What the row is known by, whatever happens to it."""

    def place(self, row: Row) -> Place:
        """Where it stands in this order."""

    async def count(self) -> int:
        """How many rows there are."""

    async def before(self, place: Place) -> int:
        """How many rows stand before this place, whether or not there is a row at it."""

    async def find(self, key: Key) -> Row | None:
        """The row of this key, None when it is not (any more) in the listing."""

    async def page(self, place: Place | None, *, skip: int = 0, limit: int, backwards: bool = False) -> Sequence[Row]:
        """At most `limit` rows, in the order of the listing.

        Forwards: those at and after `place` (None: from the start). Backwards: those right before `place`
        (None: those at the end). `skip` leaves out so many, counted from there.
        """

    async def keys(self, first: Place | None = None, last: Place | None = None) -> Sequence[Key]:
        """The keys of the rows from one place to another, both included; None: from the start, to the end."""

    def narrowed(self, text: str) -> Listing[Row]:
        """Those of all rows that match, in this order; "" for all. Raises `engine.FilterError`."""

    def sorted_by(self, column: str, descending: bool) -> Listing[Row]:
        """These rows in the order of a column that can be sorted by."""
