"""Snapshots of aggregates: the newest of each schema. They can be lost without harm, the stream has all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, bindparam, delete, exists, literal, select

from engine.model.stream import StreamId
from engine.storage import tables
from engine.storage.statements import conflict_insert

_table = tables.snapshots
_KEY = ("aggregate_type", "aggregate_id", "schema")
_archived = tables.archived_streams
# One row whatever there is: who loads an aggregate asks for both, and waits once.
_FIND = select(
    _table.c.version,
    _table.c.event_id,
    _table.c.state,
    select(_archived.c.version)
    .where(_archived.c.aggregate_type == bindparam("kind"), _archived.c.aggregate_id == bindparam("name"))
    .scalar_subquery(),
).select_from(
    select(literal(1))
    .subquery()
    .outerjoin(
        _table,
        and_(
            _table.c.aggregate_type == bindparam("kind"),
            _table.c.aggregate_id == bindparam("name"),
            _table.c.schema == bindparam("schema"),
        ),
    )
)


class Snapshot(NamedTuple):
    """An aggregate's state at a version, as JSON. `event_id` is its last event; `taken` in seconds since the epoch."""

    stream: StreamId
    schema: str
    version: int
    event_id: str
    state: bytes
    taken: float


class Found(NamedTuple):
    """A stored snapshot."""

    version: int
    event_id: str
    state: bytes


def write(connection: Connection, snapshots: Sequence[Snapshot], *, anew: bool = False) -> None:
    """Keep these snapshots, but where there is a newer one of the same schema; with `anew` even then."""
    if not snapshots:
        return
    if anew:
        for each in snapshots:
            remove(connection, each.stream, each.schema)
    statement = conflict_insert(connection, _table)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=list(_KEY),
        set_={name: new[name] for name in ("version", "event_id", "state", "taken")},
        where=new.version >= _table.c.version,
    )
    rows = [
        {
            "aggregate_type": each.stream.aggregate_type,
            "aggregate_id": each.stream.aggregate_id,
            "schema": each.schema,
            "version": each.version,
            "event_id": each.event_id,
            "state": each.state,
            "taken": each.taken,
        }
        for each in sorted(snapshots)
    ]
    connection.execute(statement, rows)


def find(connection: Connection, stream: StreamId, schema: str) -> tuple[Found | None, int | None]:
    """The snapshot of a stream in this schema, if there is one; and the version at which the stream was archived, if it was."""
    parameters = {"kind": stream.aggregate_type, "name": stream.aggregate_id, "schema": schema}
    version, event_id, state, archived = connection.execute(_FIND, parameters).one()
    return None if version is None else Found(version, event_id, bytes(state)), archived


def remove(connection: Connection, stream: StreamId, schema: str | None = None) -> int:
    """Delete a stream's snapshots, of one schema or all; how many there were."""
    condition = and_(_table.c.aggregate_type == stream.aggregate_type, _table.c.aggregate_id == stream.aggregate_id)
    if schema is not None:
        condition = and_(condition, _table.c.schema == schema)
    return connection.execute(delete(_table).where(condition)).rowcount


def forget_outdated(connection: Connection, before: float) -> int:
    """Delete the snapshots taken before this time beside which there is a later one of another schema; how many."""
    later = _table.alias("later")
    superseded = exists().where(
        later.c.aggregate_type == _table.c.aggregate_type,
        later.c.aggregate_id == _table.c.aggregate_id,
        later.c.taken > _table.c.taken,
    )
    return connection.execute(delete(_table).where(_table.c.taken < before, superseded)).rowcount
