"""The index by which a failure is found by a field of its payload.

The intake writes it with each failure. Failures that an older program wrote have `indexed` NULL and
are taken in later, a few at a time, by housekeeping and by whoever searches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, func, select, update

from engine.model.leaves import leaf_keys
from engine.storage import tables
from engine.storage.statements import run_many
from engine.storage.stored import build_message, load_properties

_failures = tables.failures
_messages = tables.failed_messages

_INSERT = "INSERT INTO warren_failure_fields (leaf, failure_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
_DELETE = "DELETE FROM warren_failure_fields WHERE leaf = ? AND failure_id = ?"


def add(connection: Connection, leaves: Mapping[int, Sequence[int]]) -> None:
    """Write the leaf keys of failures, by their ids."""
    pairs = _pairs(leaves)
    if pairs:
        run_many(connection, _INSERT, pairs)


def remove(connection: Connection, ids: Sequence[int]) -> None:
    """Take these failures out of the index; their messages must still be there."""
    pairs = _pairs(_read(connection, ids))
    if pairs:
        run_many(connection, _DELETE, pairs)


def missing(connection: Connection) -> int:
    """How many failures are not in the index yet."""
    return connection.scalar(select(func.count()).select_from(_failures).where(_failures.c.indexed.is_(None))) or 0


def catch_up(connection: Connection, limit: int) -> int:
    """Take in at most `limit` failures that are not in the index yet; how many there were. The newest first."""
    wanted = select(_failures.c.id).where(_failures.c.indexed.is_(None)).order_by(_failures.c.id.desc()).limit(limit)
    ids = list(connection.scalars(wanted))
    if ids:
        add(connection, _read(connection, ids))
        connection.execute(update(_failures).where(_failures.c.id.in_(ids)).values(indexed=True))
    return len(ids)


def _read(connection: Connection, ids: Sequence[int]) -> dict[int, list[int]]:
    rows = connection.execute(
        select(_messages.c.failure_id, _failures.c.routing_key, _messages.c.properties, _messages.c.body)
        .join_from(_failures, _messages, _messages.c.failure_id == _failures.c.id)
        .where(_failures.c.id.in_(ids))
    )
    return {
        row.failure_id: leaf_keys(build_message(row.body, load_properties(row.properties)), row.routing_key)
        for row in rows
    }


def _pairs(leaves: Mapping[int, Sequence[int]]) -> list[tuple[int, int]]:
    return sorted((leaf, failure_id) for failure_id, keys in leaves.items() for leaf in keys)
