"""Finding failures: pages by key instead of by offset, counts, and frozen ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, func, select, tuple_
from sqlalchemy.sql import ColumnElement, Select

from engine.model.failure import Status
from engine.model.filter import Filter
from engine.storage import failure_counts, tables
from engine.storage.failure_terms import Narrowed, column_of, narrow, pinned
from engine.storage.failures import FailureRow, listing, to_row
from engine.storage.listed import within

__all__ = ("Cursor", "Filter", "Order", "count", "cursor", "page", "rows_of", "search", "select_ids")

_failures = tables.failures

#: The place of a failure in the order of arrival: arrival and id.
Cursor: TypeAlias = tuple[float, int]


def search(
    connection: Connection,
    wanted: Filter,
    *,
    limit: int = 100,
    after: Cursor | None = None,
    oldest_first: bool = False,
    inclusive: bool = False,
    skip: int = 0,
) -> list[FailureRow]:
    """Matching failures, the newest first; `after` goes on behind this place, or at it if `inclusive`."""
    order = Order(after, oldest_first, inclusive, skip)
    return [to_row(row) for row in connection.execute(page(narrow(connection, wanted), order, limit=limit))]


class Order:
    """Where in the order of arrival a page begins, and in which direction it goes."""

    def __init__(
        self, after: Cursor | None = None, oldest_first: bool = False, inclusive: bool = False, skip: int = 0
    ) -> None:
        self.after = after
        self.oldest_first = oldest_first
        self.inclusive = inclusive
        self.skip = skip

    def bounds(self, rare: bool) -> list[ColumnElement[bool]]:
        """What leaves out the failures before the page."""
        if self.after is None:
            return []
        columns = pinned if rare else column_of
        here, there = tuple_(columns("arrived"), columns("id")), tuple_(*self.after)
        if self.oldest_first:
            return [here >= there if self.inclusive else here > there]
        return [here <= there if self.inclusive else here < there]

    def keys(self, rare: bool) -> list[ColumnElement[Any]]:
        """What to order by."""
        columns = pinned if rare else column_of
        keys = (columns("arrived"), columns("id"))
        return [key.asc() if self.oldest_first else key.desc() for key in keys]


def page(found: Narrowed, order: Order, *, limit: int) -> Select[Any]:
    """The statement behind `search`."""
    bounds, keys = order.bounds(found.rare), order.keys(found.rare)
    if not found.rare and not order.skip:
        return listing().where(*found.conditions, *bounds).order_by(*keys).limit(limit)
    # The ids first: to sort all that match, or to skip many, as whole rows would take longer than to find them.
    ids = select(_failures.c.id).where(*found.conditions, *bounds).order_by(*keys).limit(limit).offset(order.skip)
    return listing().where(_failures.c.id.in_(ids)).order_by(*keys)


def cursor(row: FailureRow) -> Cursor:
    """The place of this row."""
    return row.arrived, row.id


def count(connection: Connection, wanted: Filter, *, above: Cursor | None = None, below: Cursor | None = None) -> int:
    """How many failures match; only those newer than the place `above`, or older than `below`."""
    if above is None and below is None and failure_counts.serves(connection, wanted):
        return failure_counts.total(connection, wanted)
    found = narrow(connection, wanted)
    bounds = [*Order(above, oldest_first=True).bounds(found.rare), *Order(below).bounds(found.rare)]
    statement = select(func.count()).select_from(_failures).where(*found.conditions, *bounds)
    return connection.scalar(statement) or 0


def by_queue(connection: Connection, status: Status) -> dict[str, int]:
    """How many failures of a status each queue has that has any."""
    if failure_counts.serves(connection, Filter(status=status)):
        return failure_counts.by_queue(connection, status)
    statement = select(_failures.c.queue, func.count()).where(_failures.c.status == status.value)
    return {row[0]: row[1] for row in connection.execute(statement.group_by(_failures.c.queue))}


def select_ids(
    connection: Connection,
    wanted: Filter,
    *,
    limit: int | None = None,
    newest_first: bool = False,
    newest: Cursor | None = None,
    oldest: Cursor | None = None,
) -> list[int]:
    """The ids of all matching failures, oldest first; those between two places, both included."""
    found = narrow(connection, wanted)
    bounds = [
        *Order(oldest, oldest_first=True, inclusive=True).bounds(found.rare),
        *Order(newest, inclusive=True).bounds(found.rare),
    ]
    keys = Order(oldest_first=not newest_first).keys(found.rare)
    statement = select(_failures.c.id).where(*found.conditions, *bounds).order_by(*keys)
    return list(connection.scalars(statement.limit(limit)))


def rows_of(connection: Connection, ids: Sequence[int]) -> list[FailureRow]:
    """These failures in this order; those that are gone are left out."""
    known = {row.id: row for row in map(to_row, connection.execute(listing().where(within(_failures.c.id, ids))))}
    return [known[each] for each in ids if each in known]
