"""The outbox: messages written with the transaction that promises them, deleted once the broker confirmed.

A worker relays from memory what it wrote; the rows are there for the case that it dies
first. Then another worker adopts them. Rows of one key leave in the order of their commits: within
a worker that is the order of its memory, and a row that finds those of others waits for them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from engine.model.outgoing import Kind, Order, Outgoing
from engine.storage import tables
from engine.storage.statements import for_driver, run_many
from engine.storage.stored import SHORT, build_message, dump_properties, load_properties, plain

_outbox = tables.outbox

#: Ids in one statement; the oldest SQLite that is in use takes 32,766 parameters.
_CHUNK = 1000

_COLUMNS = ("id", "owner", "kind", "publication", "body", "due", "created", "order_key")
_INSERT = (
    "INSERT INTO warren_outbox (id, owner, kind, publication, body, due, created, order_key)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
#: Three steps into an index, however many rows there are. In most groups there is nothing to wait for.
_OTHERS = (
    "SELECT EXISTS (SELECT 1 FROM warren_outbox WHERE owner IS NULL)"
    " OR EXISTS (SELECT 1 FROM warren_outbox WHERE owner < ?)"
    " OR EXISTS (SELECT 1 FROM warren_outbox WHERE owner > ?)"
)
_FOREIGN = "SELECT order_key, id FROM warren_outbox WHERE order_key IN ({}) AND (owner IS NULL OR owner <> ?)"
_LISTED = {
    "sqlite": "SELECT value FROM json_each(?)",
    "postgresql": "SELECT json_array_elements_text(CAST(? AS json))",
}
_DELETE = "DELETE FROM warren_outbox WHERE id = ?"


def add(connection: Connection, owner: str | None, rows: Sequence[Outgoing]) -> None:
    """Write rows for `owner` to relay, or for any worker if None. A row whose id is there stays as it is.

    `owner`'s rows in an order are told what goes before them (`Order.behind`).
    """
    if rows:
        run_many(connection, _INSERT, [_stored(owner, row) for row in rows])
        if owner is not None and any(row.order is not None for row in rows):
            _look_ahead(connection, owner, rows)


def _look_ahead(connection: Connection, owner: str, rows: Sequence[Outgoing], *, adopted: bool = False) -> None:
    """Find the rows of others that these follow. Of adopted rows nobody knows what they found: they follow what is older."""
    orders = [(row.id, row.order) for row in rows if row.order is not None]
    foreign: dict[str, list[str]] = {}
    if orders and connection.exec_driver_sql(for_driver(connection, _OTHERS), (owner, owner)).scalar():
        keys = json.dumps(sorted({order.key for _, order in orders}))
        statement = _FOREIGN.format(_LISTED[connection.dialect.name])
        for key, row_id in connection.exec_driver_sql(for_driver(connection, statement), (keys, owner)):
            foreign.setdefault(key, []).append(row_id)
    for row_id, order in orders:
        ahead = foreign.get(order.key, ())
        order.behind = [one for one in ahead if one < row_id] if adopted else ahead


def there(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of these rows that are not struck off yet."""
    found: set[str] = set()
    for chunk in _chunks(list(ids)):
        found.update(connection.scalars(select(_outbox.c.id).where(_outbox.c.id.in_(chunk))))
    return found


def add_as_guest(connection: Connection, rows: Sequence[Outgoing]) -> None:
    """Write rows for any worker to relay, on a connection of the application's, whatever its driver."""
    if rows:
        connection.execute(insert(_outbox), [stored(row) for row in rows])


def remove(connection: Connection, ids: Sequence[str]) -> None:
    """Delete rows whose messages the broker has confirmed."""
    if ids:
        run_many(connection, _DELETE, [(row_id,) for row_id in sorted(ids)])


def adopt(connection: Connection, owner: str, dead: Sequence[str], limit: int) -> list[Outgoing]:
    """Make rows without an owner, or of these dead owners, `owner`'s own: the oldest, at most `limit`."""
    orphan = [_outbox.c.owner.is_(None)]
    if dead:
        orphan.append(_outbox.c.owner.in_(dead))
    rows = connection.execute(
        select(_outbox).where(or_(*orphan)).order_by(_outbox.c.id).limit(limit).with_for_update(skip_locked=True)
    ).all()
    for ids in _chunks([row.id for row in rows]):
        connection.execute(update(_outbox).where(_outbox.c.id.in_(ids)).values(owner=owner))
    return _adopted(connection, owner, [_outgoing(row) for row in rows])


def claim(connection: Connection, owner: str, ids: Sequence[str]) -> list[Outgoing]:
    """Make those of these rows that have no owner `owner`'s own, oldest first; another may have been quicker."""
    claimed: list[str] = []
    for chunk in _chunks(list(ids)):
        mine = update(_outbox).where(_outbox.c.id.in_(chunk), _outbox.c.owner.is_(None)).values(owner=owner)
        claimed += connection.scalars(mine.returning(_outbox.c.id))
    return _adopted(connection, owner, read(connection, claimed))


def _adopted(connection: Connection, owner: str, rows: list[Outgoing]) -> list[Outgoing]:
    _look_ahead(connection, owner, rows, adopted=True)
    return rows


def read(connection: Connection, ids: Sequence[str]) -> list[Outgoing]:
    """The rows with these ids, oldest first."""
    rows = [
        row
        for chunk in _chunks(list(ids))
        for row in connection.execute(select(_outbox).where(_outbox.c.id.in_(chunk)))
    ]
    rows.sort(key=lambda row: str(row.id))
    return [_outgoing(row) for row in rows]


def owned(connection: Connection, owner: str, before: float, limit: int) -> list[str]:
    """The ids of rows that `owner` is to relay and that were written before this time, oldest first."""
    return list(
        connection.scalars(
            select(_outbox.c.id)
            .where(_outbox.c.owner == owner, _outbox.c.created < before)
            .order_by(_outbox.c.id)
            .limit(limit)
        )
    )


def stored(row: Outgoing, owner: str | None = None) -> dict[str, Any]:
    """The columns of a row, by name."""
    return dict(zip(_COLUMNS, _stored(owner, row), strict=True))


def pending(connection: Connection) -> int:
    """How many messages wait to be relayed."""
    return connection.scalar(select(func.count()).select_from(_outbox)) or 0


def oldest(connection: Connection) -> float | None:
    """When the oldest waiting message was written, in seconds since the epoch."""
    return connection.scalar(select(_outbox.c.created).order_by(_outbox.c.id).limit(1))


def owners(connection: Connection) -> list[str | None]:
    """The workers that have rows to relay; None among them when some rows belong to nobody yet."""
    return list(connection.scalars(select(_outbox.c.owner).distinct()))


def _stored(owner: str | None, row: Outgoing) -> tuple[Any, ...]:
    where = {"exchange": row.exchange, "routing_key": row.routing_key, "mandatory": row.mandatory}
    return (
        row.id, owner, str(row.kind), dump_properties(row.message, where), row.message.body, row.due, row.created,
        None if row.order is None else plain(row.order.key, SHORT),
    )  # fmt: skip


def _outgoing(row: Any) -> Outgoing:
    found = load_properties(row.publication)
    return Outgoing(
        id=row.id,
        kind=Kind(row.kind),
        exchange=found["exchange"],
        routing_key=found["routing_key"],
        message=build_message(row.body, found),
        mandatory=found["mandatory"],
        due=row.due,
        created=row.created,
        order=None if row.order_key is None else Order(row.order_key),
    )


def _chunks(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]
