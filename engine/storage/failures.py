"""Dead letters, whole: written by the intake, searched by operators, and what became of each."""

# ruff: noqa: S608  # what is put together here are names of columns

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, case, exists, literal, literal_column, select, tuple_, update
from sqlalchemy.sql import ColumnElement, Select

from engine.model.failure import Outcome, Status
from engine.model.leaves import leaf_keys
from engine.model.message import Message
from engine.model.record import State
from engine.storage import blobs, failure_fields, tables
from engine.storage.listed import within
from engine.storage.statements import run_many
from engine.storage.stored import SHORT, build_message, dump_properties, load_properties, plain

__all__ = (
    "Failure", "FailureDetail", "FailureRow", "Outcome", "Status", "add", "get", "get_many", "listing", "lock_status",
    "outcome", "set_status", "to_row",
)  # fmt: skip

_failures = tables.failures
_messages = tables.failed_messages

_KEY = ("queue", "event_id", "run", "body_hash")
_TEXTS = (
    "queue",
    "event_id",
    "event_type",
    "handler",
    "worker",
    "reason",
    "exception",
    "message",
    "fingerprint",
    "exchange",
    "routing_key",
    "correlation_id",
)
_LATER = ("id", "redriven_run", "archived_by", "archived_from")
_INSERTED = [column.name for column in _failures.c if column.name not in _LATER]
_INSERT = (
    f"INSERT INTO warren_failures ({', '.join(_INSERTED)})"
    f" VALUES ({', '.join('?' * len(_INSERTED))}) ON CONFLICT DO NOTHING"
)
_INSERT_BULK = (
    "INSERT INTO warren_failed_messages (failure_id, traceback, properties, body)"
    " SELECT id, ?, ?, ? FROM warren_failures"
    " WHERE queue = ? AND event_id = ? AND run = ? AND body_hash = ? ON CONFLICT DO NOTHING"
)
#: Of a SELECT, SQLite would make the zeros.
_INSERT_ZEROS = (
    "INSERT INTO warren_failed_messages (failure_id, traceback, properties, body)"
    " VALUES (?, ?, ?, zeroblob(?)) ON CONFLICT DO NOTHING"
)


#: Queue, event id, run and body hash: what makes two dead letters one failure.
Key: TypeAlias = tuple[str, str, int, bytes]


class Failure(NamedTuple):
    """A dead letter as the intake has it. Its key is queue, event id, run and body hash."""

    queue: str
    event_id: str
    run: int
    body_hash: bytes
    event_type: str
    handler: str
    worker: str
    reason: str
    exception: str
    message: str
    traceback: str
    fingerprint: str
    attempts: int
    first_failed: float
    last_failed: float
    arrived: float
    exchange: str
    routing_key: str
    correlation_id: str | None
    #: The message as it was published to the queue: its body, properties and headers.
    original: Message


class FailureRow(NamedTuple):
    """A failure as it is listed. `outcome` is None unless it was redriven; `edited`: an edit of it waits to be sent."""

    id: int
    queue: str
    event_id: str
    run: int
    body_hash: bytes
    event_type: str
    handler: str
    worker: str
    reason: str
    exception: str
    message: str
    fingerprint: str
    attempts: int
    first_failed: float
    last_failed: float
    arrived: float
    exchange: str
    routing_key: str
    correlation_id: str | None
    status: Status
    redriven_run: int | None
    changed: float
    outcome: Outcome | None
    edited: bool = False


class FailureDetail(NamedTuple):
    """One failure with its bulk."""

    row: FailureRow
    traceback: str
    original: Message


def add(connection: Connection, failures: Sequence[Failure]) -> int:
    """Write failures; one that is there already stays as it is. How many were new.

    Texts are cut and stripped of what PostgreSQL does not store; `original` is kept exactly.
    """
    if not failures:
        return 0
    ordered = sorted(failures, key=lambda failure: failure[:4])
    rows = [_row(failure) for failure in ordered]
    new = run_many(connection, _INSERT, rows)
    bulk: list[tuple[Any, ...]] = []
    for failure, row in zip(ordered, rows, strict=True):
        original, key = failure.original, row[: len(_KEY)]
        if blobs.held_back(connection, original.body):
            _add_large(connection, failure, key)
        else:
            bulk.append((plain(failure.traceback), dump_properties(original), original.body, *key))
    if bulk:
        run_many(connection, _INSERT_BULK, bulk)
    ids = _ids(connection, [row[: len(_KEY)] for row in rows])
    leaves = [leaf_keys(failure.original, failure.routing_key) for failure in ordered]
    failure_fields.add(connection, dict(zip(ids, leaves, strict=True)))
    return new


def _add_large(connection: Connection, failure: Failure, key: Key) -> None:
    body = failure.original.body
    (row,) = _ids(connection, [key])
    values = (row, plain(failure.traceback), dump_properties(failure.original), len(body))
    if run_many(connection, _INSERT_ZEROS, [values]):
        blobs.write(connection, "warren_failed_messages", "body", row, body)


def _ids(connection: Connection, keys: Sequence[Key]) -> list[int]:
    columns = [_failures.c[name] for name in _KEY]
    rows = connection.execute(select(_failures.c.id, *columns).where(tuple_(*columns).in_(keys)))
    known = {
        (queue, event_id, run, bytes(body_hash)): failure_id for failure_id, queue, event_id, run, body_hash in rows
    }
    return [known[key] for key in keys]


def get(connection: Connection, failure_id: int) -> FailureDetail | None:
    """One failure, whole; None when there is none of this id."""
    found = get_many(connection, [failure_id])
    return found[0] if found else None


def get_many(connection: Connection, ids: Sequence[int]) -> list[FailureDetail]:
    """These failures, whole, by id; ids that are not there are left out."""
    wanted = listing().add_columns(_messages.c.traceback, _messages.c.properties, _messages.c.body)
    wanted = wanted.join_from(_failures, _messages, _messages.c.failure_id == _failures.c.id)
    rows = connection.execute(wanted.where(within(_failures.c.id, ids)).order_by(_failures.c.id)).all()
    return [
        FailureDetail(to_row(row[:-3]), row.traceback, build_message(row.body, load_properties(row.properties)))
        for row in rows
    ]


def lock_status(connection: Connection, failure_id: int) -> Status | None:
    """The status of a failure, which nobody else changes until the transaction ends; None when it is not there."""
    found = connection.scalar(select(_failures.c.status).where(_failures.c.id == failure_id).with_for_update())
    return None if found is None else Status(found)


def set_status(
    connection: Connection, ids: Sequence[int], status: Status, *, now: float, redriven_run: int | None = None
) -> int:
    """Change what was done about failures; how many there were. `redriven_run` goes with REDRIVEN."""
    values: dict[str, Any] = {"status": str(status), "changed": now}
    if redriven_run is not None:
        values["redriven_run"] = redriven_run
    return connection.execute(update(_failures).where(within(_failures.c.id, ids)).values(values)).rowcount


def listing() -> Select[Any]:
    """All failures as `to_row` reads them, to be filtered and ordered."""
    return select(
        *(_failures.c[name] for name in FailureRow._fields[:-2]), outcome().label("outcome"), _edited().label("edited")
    )


def to_row(row: Sequence[Any]) -> FailureRow:
    """A row of `listing`, with its enumerations."""
    values = dict(zip(FailureRow._fields, row, strict=True))
    values["status"] = Status(values["status"])
    values["body_hash"] = bytes(values["body_hash"])
    values["edited"] = bool(values["edited"])
    if values["outcome"] is not None:
        values["outcome"] = Outcome(values["outcome"])
    return FailureRow(**values)


def outcome() -> ColumnElement[str | None]:
    """What became of a redriven failure: derived, so that it is never out of date.

    It failed again when a later failure of the message is there; it succeeded when its
    record is done under the run of the redrive or a later one.
    """
    later = _failures.alias("later")
    again = (
        (later.c.queue == _failures.c.queue)
        & (later.c.event_id == _failures.c.event_id)
        & (later.c.run >= _failures.c.redriven_run)
    )
    record = tables.records
    done = (
        (record.c.queue == _failures.c.queue)
        & (record.c.event_id == _failures.c.event_id)
        & (record.c.state == State.DONE.value)
        & (record.c.run >= _failures.c.redriven_run)
    )
    same = again & (later.c.fingerprint == _failures.c.fingerprint)
    return case(
        (_failures.c.status != Status.REDRIVEN.value, None),
        (exists().where(same), literal(Outcome.FAILED_AGAIN.value)),
        (exists().where(again), literal(Outcome.FAILED_OTHERWISE.value)),
        (exists().where(done), literal(Outcome.SUCCEEDED.value)),
        else_=literal(Outcome.PENDING.value),
    )


def _edited() -> ColumnElement[bool]:
    edits = tables.edits
    return exists().where(edits.c.failure_id == _failures.c.id, edits.c.state == literal_column("'pending'"))


def _row(failure: Failure) -> tuple[Any, ...]:
    values = failure._asdict()
    for name in _TEXTS:
        values[name] = plain(values[name] or "", None if name in ("reason", "message") else SHORT)
    values["correlation_id"] = values["correlation_id"] or None
    values["status"] = Status.OPEN.value
    values["changed"] = failure.arrived
    values["indexed"] = True
    return tuple(values[name] for name in _INSERTED)
