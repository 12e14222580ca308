"""Dead letters, whole: written by the intake, searched by operators, and what became of each."""

# ruff: noqa: S608  # what is put together here are names of columns

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, case, exists, literal, select, update
from sqlalchemy.sql import ColumnElement, Select

from engine.model.message import Message
from engine.model.record import State
from engine.storage import tables
from engine.storage.statements import run_many
from engine.storage.stored import SHORT, build_message, dump_properties, load_properties, plain

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
_INSERTED = [column.name for column in _failures.c if column.name not in ("id", "redriven_run")]
_INSERT = (
    f"INSERT INTO warren_failures ({', '.join(_INSERTED)})"
    f" VALUES ({', '.join('?' * len(_INSERTED))}) ON CONFLICT DO NOTHING"
)
_INSERT_BULK = (
    "INSERT INTO warren_failed_messages (failure_id, traceback, properties, body)"
    " SELECT id, ?, ?, ? FROM warren_failures"
    " WHERE queue = ? AND event_id = ? AND run = ? AND body_hash = ? ON CONFLICT DO NOTHING"
)


class Status(StrEnum):
    """What an operator did about a failure."""

    OPEN = "open"
    REDRIVEN = "redriven"
    ARCHIVED = "archived"


class Outcome(StrEnum):
    """What became of a redriven failure."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    #: It failed again with the same fingerprint, or with another.
    FAILED_AGAIN = "failed again"
    FAILED_OTHERWISE = "failed otherwise"


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
    """A failure as it is listed. `outcome` is None unless it was redriven."""

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
    new = run_many(connection, _INSERT, rows).rowcount
    bulk = [
        (plain(failure.traceback), dump_properties(failure.original), failure.original.body, *row[: len(_KEY)])
        for failure, row in zip(ordered, rows, strict=True)
    ]
    run_many(connection, _INSERT_BULK, bulk)
    return new


def get(connection: Connection, failure_id: int) -> FailureDetail | None:
    """One failure, whole; None when there is none of this id."""
    found = get_many(connection, [failure_id])
    return found[0] if found else None


def get_many(connection: Connection, ids: Sequence[int]) -> list[FailureDetail]:
    """These failures, whole, by id; ids that are not there are left out."""
    wanted = listing().add_columns(_messages.c.traceback, _messages.c.properties, _messages.c.body)
    wanted = wanted.join_from(_failures, _messages, _messages.c.failure_id == _failures.c.id)
    rows = connection.execute(wanted.where(_failures.c.id.in_(ids)).order_by(_failures.c.id)).all()
    return [
        FailureDetail(to_row(row[:-3]), row.traceback, build_message(row.body, load_properties(row.properties)))
        for row in rows
    ]


def set_status(
    connection: Connection, ids: Sequence[int], status: Status, *, now: float, redriven_run: int | None = None
) -> int:
    """Change what was done about failures; how many there were. `redriven_run` goes with REDRIVEN."""
    values: dict[str, Any] = {"status": str(status), "changed": now}
    if redriven_run is not None:
        values["redriven_run"] = redriven_run
    return connection.execute(update(_failures).where(_failures.c.id.in_(ids)).values(values)).rowcount


def listing() -> Select[Any]:
    """All failures as `to_row` reads them, to be filtered and ordered."""
    return select(*(_failures.c[name] for name in FailureRow._fields[:-1]), outcome().label("outcome"))


def to_row(row: Sequence[Any]) -> FailureRow:
    """A row of `listing`, with its enumerations."""
    values = dict(zip(FailureRow._fields, row, strict=True))
    values["status"] = Status(values["status"])
    values["body_hash"] = bytes(values["body_hash"])
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


def _row(failure: Failure) -> tuple[Any, ...]:
    values = failure._asdict()
    for name in _TEXTS:
        values[name] = plain(values[name] or "", None if name in ("reason", "message") else SHORT)
    values["correlation_id"] = values["correlation_id"] or None
    values["status"] = Status.OPEN.value
    values["changed"] = failure.arrived
    return tuple(values[name] for name in _INSERTED)
