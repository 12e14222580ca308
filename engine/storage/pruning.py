"""Forgetting, a little at a time: the writer deletes by key, and is never made to search.

What is old is found by walking a table in the order of its key, a slice a read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, true, tuple_

from engine.model.record import State
from engine.storage import tables
from engine.storage.failures import Status
from engine.storage.record_statements import Key
from engine.storage.statements import run_many

_records = tables.records
_failures = tables.failures
_workers = tables.workers
_schedules = tables.schedules
_leases = tables.leases

_ENDED = (str(State.DONE), str(State.DEAD))
_DELETE = "DELETE FROM warren_records WHERE queue = ? AND event_id = ? AND state = ? AND updated < ?"


class Slice(NamedTuple):
    """What one read found: the records to forget, and where the next slice begins (None at the end)."""

    old: list[tuple[str, str, str]]
    next: Key | None


def look(connection: Connection, after: Key, queues: Sequence[str] | None, before: float, size: int) -> Slice:
    """Of the next `size` records those of these queues (None: of all) that ended before this time.

    A dead one stays as long as its failure is open or on its way back: a redrive goes by it.
    """
    key = tuple_(_records.c.queue, _records.c.event_id)
    rows = connection.execute(
        select(_records.c.queue, _records.c.event_id, _records.c.state, _records.c.updated)
        .where(key > after, true() if queues is None else _records.c.queue.in_(queues))
        .order_by(_records.c.queue, _records.c.event_id)
        .limit(size)
    ).all()
    old = [(row.queue, row.event_id, row.state) for row in rows if row.state in _ENDED and row.updated < before]
    dead = [(queue, event_id) for queue, event_id, state in old if state == State.DEAD]
    kept = _with_failures(connection, dead) if dead else set()
    last = rows[-1] if len(rows) == size else None
    return Slice(
        [one for one in old if one[:2] not in kept], None if last is None else (last.queue, last.event_id)
    )  # fmt: skip


def _with_failures(connection: Connection, keys: Sequence[Key]) -> set[Key]:
    key = tuple_(_failures.c.queue, _failures.c.event_id)
    found: set[Key] = set()
    for start in range(0, len(keys), 500):
        statement = select(_failures.c.queue, _failures.c.event_id).where(
            key.in_(keys[start : start + 500]), _failures.c.status != str(Status.ARCHIVED)
        )
        found |= {(row.queue, row.event_id) for row in connection.execute(statement)}
    return found


def forget(connection: Connection, old: Sequence[tuple[str, str, str]], before: float) -> int:
    """Delete these records, unless something became of them since they were read; how many there were."""
    if not old:
        return 0
    return run_many(connection, _DELETE, [(*one, before) for one in sorted(old)])


def gone_workers(
    connection: Connection, app: str, before: float, alive: Callable[[str], bool], limit: int
) -> list[str]:
    """The workers of this application that stopped, or died, before this time: at most `limit`."""
    rows = connection.execute(
        select(_workers.c.id, _workers.c.state)
        .where(_workers.c.app == app, _workers.c.beat < before)
        .order_by(_workers.c.beat)
    )
    return [row.id for row in rows if row.state == "stopped" or not alive(row.id)][:limit]


def forget_workers(connection: Connection, workers: Sequence[str]) -> None:
    """Delete these workers with their counters."""
    for table, column in (
        (tables.stats, tables.stats.c.worker),
        (tables.beats, tables.beats.c.worker),
        (_workers, _workers.c.id),
    ):
        connection.execute(delete(table).where(column.in_(workers)))


def gone_schedules(connection: Connection, app: str, before: float, alive: Callable[[str], bool]) -> list[str]:
    """The schedules of this application that no living worker looks after, and none has since this time."""
    lease = "schedule:" + _schedules.c.name
    rows = connection.execute(
        select(_schedules.c.name, _leases.c.owner)
        .join_from(_schedules, _leases, _leases.c.name == lease, isouter=True)
        .where(_schedules.c.app == app, _schedules.c.changed < before)
        .order_by(_schedules.c.name)
    )
    return [row.name for row in rows if row.owner is None or not alive(row.owner)]


def forget_schedules(connection: Connection, names: Sequence[str], before: float) -> int:
    """Delete these schedules, unless a worker has begun to look after one meanwhile; how many there were."""
    unseen = _schedules.c.name.in_(names) & (_schedules.c.changed < before)
    return connection.execute(delete(_schedules).where(unseen)).rowcount
