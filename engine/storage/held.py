"""A strict order in the database: the blocked keys, and the messages that wait in line behind what failed.

    failed ──▶ blocks its key        handled, or given up ──▶ the next in line is sent, and blocks in its place
    later ones of the key ──▶ held                           none is left ──▶ the key is free

Each step is one transaction with the outcome that causes it, and locks the key's row: what arrives while the
line moves is behind it, and nothing is left in a line that nobody moves. What engine/model/strict.py decides is done here for
whole groups.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, delete, func, select

from engine.model.outgoing import Kind, Outgoing
from engine.model.record import State
from engine.storage import tables
from engine.storage.listed import within
from engine.storage.statements import run_many
from engine.storage.stored import build_message, dump_properties, load_properties

_blocks = tables.blocks
_held = tables.held
_records = tables.records
_failures = tables.failures

#: A queue, and an event id or a key.
Pair: TypeAlias = tuple[str, str]

_BLOCK = "INSERT INTO warren_blocks (queue, key, event_id, since) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_HOLD = (
    "INSERT INTO warren_held (queue, key, event_id, publication, body, arrived) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (queue, event_id) DO UPDATE SET publication = excluded.publication, body = excluded.body"
)
_MOVE = "UPDATE warren_blocks SET event_id = ? WHERE queue = ? AND key = ?"
_FREE = "DELETE FROM warren_blocks WHERE queue = ? AND key = ?"
_SENT = "DELETE FROM warren_held WHERE position = ?"

_WANTED_SQLITE = "(SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))"
_WANTED_POSTGRESQL = "(SELECT value->>0, value->>1 FROM json_array_elements(CAST(%s AS json)) AS value)"


class Waiting(NamedTuple):
    """A message that is to wait: in which line, for which event, and as what it is sent in the end."""

    queue: str
    key: str
    event_id: str
    row: Outgoing


class Blocked(NamedTuple):
    """Who blocks some keys. `unsure`: another transaction is about to move these, so one has to look again."""

    by: dict[Pair, str]
    unsure: frozenset[Pair]


class Line(NamedTuple):
    """A blocked key: what blocks it, since when (seconds since the epoch), and how many wait behind it."""

    queue: str
    key: str
    event_id: str
    since: float
    waiting: int


def blocked(connection: Connection, keys: Iterable[Pair]) -> Blocked:
    """Which of these keys are blocked, each by which event. Nobody moves them until the transaction ends."""
    wanted = sorted(set(keys))
    found = _select(connection, "queue, key, event_id", "(queue, key)", wanted)
    if not found or connection.dialect.name == "sqlite":
        return Blocked({(queue, key): event_id for queue, key, event_id in found}, frozenset())
    # Not to be waited for: whoever has a row locked may wait for one of ours.
    locked = _select(connection, "queue, key, event_id", "(queue, key)", wanted, " FOR UPDATE SKIP LOCKED")
    sure = {(queue, key): event_id for queue, key, event_id in locked}
    return Blocked(sure, frozenset((queue, key) for queue, key, _ in found) - sure.keys())


def block(connection: Connection, failed: Sequence[tuple[str, str, str]], now: float) -> None:
    """These events failed, each a queue, a key and an event id: what follows them waits. One behind another changes nothing."""
    if failed:
        run_many(connection, _BLOCK, [(*one, now) for one in sorted(failed)])


def hold(connection: Connection, waiting: Sequence[Waiting], now: float) -> None:
    """Put messages at the ends of their lines. One that is there keeps its place, and takes the newer copy."""
    if waiting:
        run_many(connection, _HOLD, [(*one[:3], *_stored(one.row), now) for one in waiting])


def advance(connection: Connection, ended: Iterable[Pair]) -> list[tuple[Pair, Outgoing]]:
    """These events are handled, or given up: what is to be sent now, each beside the event whose place it takes.

    It still has to go into the outbox. An event whose body was edited may have blocked more than one key.
    """
    lock = "" if connection.dialect.name == "sqlite" else " ORDER BY queue, key FOR UPDATE"
    heads = _select(connection, "queue, key, event_id", "(queue, event_id)", sorted(set(ended)), lock)
    sent: list[tuple[Pair, Outgoing]] = []
    for queue, key, event_id in heads:
        following = connection.execute(
            select(_held).where(_held.c.queue == queue, _held.c.key == key).order_by(_held.c.position).limit(1)
        ).one_or_none()
        if following is None:
            run_many(connection, _FREE, [(queue, key)])
            continue
        run_many(connection, _MOVE, [(following.event_id, queue, key)])
        run_many(connection, _SENT, [(following.position,)])
        sent.append(((queue, event_id), _outgoing(following)))
    return sent


def given_up(connection: Connection, failures: Sequence[int]) -> list[Pair]:
    """Of these failures the events that block a key, and are dead as of that failure."""
    rows = connection.execute(
        select(_failures.c.queue, _failures.c.event_id)
        .join(_blocks, (_blocks.c.queue == _failures.c.queue) & (_blocks.c.event_id == _failures.c.event_id))
        .join(_records, (_records.c.queue == _failures.c.queue) & (_records.c.event_id == _failures.c.event_id))
        .where(within(_failures.c.id, failures), _records.c.state == str(State.DEAD), _records.c.run == _failures.c.run)
    )
    return [(row.queue, row.event_id) for row in rows]


def release(connection: Connection, queues: Sequence[str]) -> list[Outgoing]:
    """Let everything go that waits in these queues, whose handlers want no strict order any more, in its order."""
    if not queues:
        return []
    connection.execute(select(_blocks.c.key).where(_blocks.c.queue.in_(queues)).with_for_update()).all()
    rows = connection.execute(select(_held).where(_held.c.queue.in_(queues)).order_by(_held.c.position)).all()
    connection.execute(delete(_held).where(_held.c.queue.in_(queues)))
    connection.execute(delete(_blocks).where(_blocks.c.queue.in_(queues)))
    return [_outgoing(row) for row in rows]


def counts(connection: Connection) -> dict[str, int]:
    """How many messages wait behind failures, by queue."""
    rows = connection.execute(select(_held.c.queue, func.count()).group_by(_held.c.queue))
    return {row[0]: row[1] for row in rows}


def behind(connection: Connection, queue: str, event_id: str) -> int:
    """How many messages wait behind this event."""
    line = (_held.c.queue == _blocks.c.queue) & (_held.c.key == _blocks.c.key)
    return (
        connection.scalar(
            select(func.count())
            .select_from(_blocks)
            .join(_held, line)
            .where(_blocks.c.queue == queue, _blocks.c.event_id == event_id)
        )
        or 0
    )


def _select(
    connection: Connection, columns: str, by: str, wanted: Sequence[Pair], then: str = ""
) -> Sequence[Sequence[Any]]:
    if not wanted:
        return []
    those = _WANTED_SQLITE if connection.dialect.name == "sqlite" else _WANTED_POSTGRESQL
    statement = f"SELECT {columns} FROM warren_blocks WHERE {by} IN {those}{then}"  # noqa: S608  # constants of this file
    return connection.exec_driver_sql(statement, (json.dumps(wanted),)).all()


def _stored(row: Outgoing) -> tuple[str, bytes]:
    return dump_properties(row.message, {"id": row.id, "created": row.created}), row.message.body


def _outgoing(row: Any) -> Outgoing:
    found = load_properties(row.publication)
    message = build_message(row.body, found)
    return Outgoing(found["id"], Kind.RETRY, "", row.queue, message, True, None, found["created"])
