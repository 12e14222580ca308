"""The outbox: messages written with the transaction that promises them, deleted once the broker confirmed.

A worker relays from memory what it wrote; the rows are there for the case that it dies
first. Then another worker adopts them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from engine.model.outgoing import Kind, Outgoing
from engine.storage import tables
from engine.storage.statements import run_many
from engine.storage.stored import build_message, dump_properties, load_properties

_outbox = tables.outbox

#: Ids in one statement; the oldest SQLite that is in use takes 32,766 parameters.
_CHUNK = 1000

_COLUMNS = ("id", "owner", "kind", "publication", "body", "due", "created")
_INSERT = (
    "INSERT INTO warren_outbox (id, owner, kind, publication, body, due, created)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_DELETE = "DELETE FROM warren_outbox WHERE id = ?"


def add(connection: Connection, owner: str | None, rows: Sequence[Outgoing]) -> None:
    """Write rows for `owner` to relay, or for any worker if None. A row whose id is there stays as it is."""
    if rows:
        run_many(connection, _INSERT, [_stored(owner, row) for row in rows])


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
    return [_outgoing(row.id, row.kind, row.publication, row.body, row.due, row.created) for row in rows]


def claim(connection: Connection, owner: str, ids: Sequence[str]) -> list[Outgoing]:
    """Make those of these rows that have no owner `owner`'s own, oldest first; another may have been quicker."""
    claimed: list[str] = []
    for chunk in _chunks(list(ids)):
        mine = update(_outbox).where(_outbox.c.id.in_(chunk), _outbox.c.owner.is_(None)).values(owner=owner)
        claimed += connection.scalars(mine.returning(_outbox.c.id))
    return read(connection, claimed)


def read(connection: Connection, ids: Sequence[str]) -> list[Outgoing]:
    """The rows with these ids, oldest first."""
    rows = [
        row
        for chunk in _chunks(list(ids))
        for row in connection.execute(select(_outbox).where(_outbox.c.id.in_(chunk)))
    ]
    rows.sort(key=lambda row: str(row.id))
    return [_outgoing(row.id, row.kind, row.publication, row.body, row.due, row.created) for row in rows]


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


def _stored(owner: str | None, row: Outgoing) -> tuple[str, str | None, str, str, bytes, float | None, float]:
    where = {"exchange": row.exchange, "routing_key": row.routing_key, "mandatory": row.mandatory}
    return (
        row.id, owner, str(row.kind), dump_properties(row.message, where), row.message.body, row.due, row.created
    )  # fmt: skip


def _outgoing(row_id: str, kind: str, publication: str, body: bytes, due: float | None, created: float) -> Outgoing:
    found = load_properties(publication)
    return Outgoing(
        id=row_id,
        kind=Kind(kind),
        exchange=found["exchange"],
        routing_key=found["routing_key"],
        message=build_message(body, found),
        mandatory=found["mandatory"],
        due=due,
        created=created,
    )


def _chunks(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]
