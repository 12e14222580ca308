"""The statements of the idempotency record, each for a whole group, in the fastest form of each dialect.

SQLite: one prepared statement run over tuples. PostgreSQL: one statement over all rows as
JSON, so that a group costs one round trip. Handed to the driver as they are: Core's processing of
parameters would cost more than the database does.
"""

# ruff: noqa: S608  # what is put together here are constants of this file

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection

from engine.model.record import Record, State

#: Queue and event id.
Key: TypeAlias = tuple[str, str]

_STATES = {str(state): state for state in State}

_COLUMNS = ", ".join(Record._fields)

_SELECT_SQLITE = (
    f"SELECT {_COLUMNS} FROM warren_records WHERE queue = ? AND event_id IN (SELECT value FROM json_each(?))"
)
#: Rows in one statement. Each step of a statement gives up the interpreter's lock, and to get it back
#: from a busy event loop can take longer than the statement itself.
_MANY = 32

_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_SQLITE = f"INSERT INTO warren_records ({_COLUMNS}) VALUES {_ROW}"
_INSERT_MANY_SQLITE = f"INSERT INTO warren_records ({_COLUMNS}) VALUES {', '.join([_ROW] * _MANY)}"
_SETTLE_MANY_SQLITE = (
    "UPDATE warren_records AS old SET state = new.column1, run = new.column2, attempts = new.column3,"
    " deaths = new.column4, probation = new.column5, updated = new.column6"
    f" FROM (VALUES {', '.join(['(?, ?, ?, ?, ?, ?, ?, ?, ?)'] * _MANY)}) AS new"
    " WHERE old.queue = new.column7 AND old.event_id = new.column8 AND old.token = new.column9"
    " AND old.state = 'running'"
)
_SETTLE_SQLITE = (
    "UPDATE warren_records SET state = ?, run = ?, attempts = ?, deaths = ?, probation = ?, updated = ?"
    " WHERE queue = ? AND event_id = ? AND token = ? AND state = 'running'"
)

_SELECT_POSTGRESQL = (
    f"SELECT {_COLUMNS} FROM warren_records"
    " WHERE (queue, event_id) IN (SELECT queue, event_id FROM json_to_recordset(%s) AS wanted (queue text, event_id text))"
)
_LOCK_POSTGRESQL = {
    "none": "",
    "wait": " ORDER BY queue, event_id FOR UPDATE",
    "skip": " ORDER BY queue, event_id FOR UPDATE SKIP LOCKED",
}
_VALUES_POSTGRESQL = _COLUMNS.replace("body_hash", "decode(body_hash, 'hex')")
_ROWS_POSTGRESQL = (
    "json_to_recordset(%s) AS new (queue text, event_id text, state text, run bigint, attempts bigint, token bigint,"
    " worker text, body_hash text, deaths bigint, probation boolean, created float8, updated float8)"
)
_INSERT_POSTGRESQL = (
    f"INSERT INTO warren_records ({_COLUMNS}) SELECT {_VALUES_POSTGRESQL} FROM {_ROWS_POSTGRESQL} ORDER BY 1, 2"
)
_SETTLE_POSTGRESQL = (
    "UPDATE warren_records AS old SET state = new.state, run = new.run, attempts = new.attempts,"
    f" deaths = new.deaths, probation = new.probation, updated = new.updated FROM {_ROWS_POSTGRESQL}"
    " WHERE old.queue = new.queue AND old.event_id = new.event_id AND old.token = new.token AND old.state = 'running'"
)

_UNLESS_THERE = " ON CONFLICT DO NOTHING RETURNING queue, event_id"
_OR_OVERWRITE = " ON CONFLICT (queue, event_id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in Record._fields if name not in ("queue", "event_id")
)


def read(
    connection: Connection, keys: Iterable[Key], lock: Literal["none", "wait", "skip"] = "none"
) -> dict[Key, Record]:
    """The records under these keys. PostgreSQL locks them, and waits for or leaves out what others have locked."""
    found: dict[Key, Record] = {}
    if connection.dialect.name == "sqlite":
        by_queue: defaultdict[str, list[str]] = defaultdict(list)
        for queue, event_id in keys:
            by_queue[queue].append(event_id)
        for queue, ids in by_queue.items():
            for row in connection.exec_driver_sql(_SELECT_SQLITE, (queue, json.dumps(ids))):
                found[row[0], row[1]] = _record(row)
        return found
    wanted = json.dumps([{"queue": queue, "event_id": event_id} for queue, event_id in keys])
    for row in connection.exec_driver_sql(_SELECT_POSTGRESQL + _LOCK_POSTGRESQL[lock], (wanted,)):
        found[row[0], row[1]] = _record(row)
    return found


def insert(connection: Connection, records: Sequence[Record]) -> set[Key]:
    """Insert new records; the keys of those that another transaction had not inserted meanwhile."""
    if connection.dialect.name == "sqlite":
        _run(connection, _INSERT_SQLITE, _INSERT_MANY_SQLITE, [_row(record) for record in records])
        return {record[:2] for record in records}
    rows = connection.exec_driver_sql(_INSERT_POSTGRESQL + _UNLESS_THERE, (_json(records),))
    return {(row[0], row[1]) for row in rows}


def put(connection: Connection, records: Sequence[Record]) -> None:
    """Insert records, or overwrite those that are there."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_INSERT_SQLITE + _OR_OVERWRITE, [_row(record) for record in records])
    else:
        connection.exec_driver_sql(_INSERT_POSTGRESQL + _OR_OVERWRITE, (_json(records),))


def settle(connection: Connection, records: Sequence[Record]) -> bool:
    """Write outcomes under their tokens. False when not all were written; then undo it to a savepoint."""
    if connection.dialect.name == "sqlite":
        rows = [
            (str(r.state), r.run, r.attempts, r.deaths, int(r.probation), r.updated, r.queue, r.event_id, r.token)
            for r in records
        ]
        return _run(connection, _SETTLE_SQLITE, _SETTLE_MANY_SQLITE, rows) == len(rows)
    return connection.exec_driver_sql(_SETTLE_POSTGRESQL, (_json(records),)).rowcount == len(records)


def _run(connection: Connection, one: str, many: str, rows: list[tuple[Any, ...]]) -> int:
    """Run a statement of SQLite for all rows, as many at a time as it takes; how many rows it wrote."""
    written, whole = 0, len(rows) - len(rows) % _MANY
    for start in range(0, whole, _MANY):
        values = tuple(chain.from_iterable(rows[start : start + _MANY]))
        written += connection.exec_driver_sql(many, values).rowcount
    if whole < len(rows):
        written += connection.exec_driver_sql(one, rows[whole:]).rowcount
    return written


def _record(row: Sequence[Any]) -> Record:
    queue, event_id, state, run, attempts, token, worker, body_hash, deaths, probation, created, updated = row
    return Record(
        queue, event_id, _STATES[state], run, attempts, token, worker, body_hash, deaths, bool(probation), created, updated
    )  # fmt: skip


def _row(record: Record) -> tuple[Any, ...]:
    # Only exact types: sqlite3 looks for an adapter of every other, a str subclass and a bool included.
    queue, event_id, state, run, attempts, token, worker, body_hash, deaths, probation, created, updated = record
    return (
        queue, event_id, str(state), run, attempts, token, worker, body_hash, deaths, int(probation), created, updated
    )  # fmt: skip


def _json(records: Sequence[Record]) -> str:
    # One text for all: psycopg would turn arrays into text one element at a time.
    return json.dumps([{**record._asdict(), "body_hash": record.body_hash.hex()} for record in records])
