"""The tables, on metadata of their own, so that they can share a database with the user's.

Statements are written in SQLAlchemy Core with the tables at the end of this file. Times
are float seconds since the epoch, UTC. Text columns hold no NUL, since PostgreSQL takes
none: what may contain one is kept as bytes or as JSON.
"""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import MetaData, Table, text
from sqlalchemy.orm import registry
from sqlmodel import BigInteger, Field, Index, Integer, LargeBinary, SQLModel, Text

#: Holds `warren_*` and nothing else.
warren_metadata = MetaData()

#: 64 bits; SQLite counts its ids only in a column called INTEGER, which has 64 bits there.
_BIG = BigInteger().with_variant(Integer, "sqlite")


def _where(said: str) -> dict[str, Any]:
    """For an index over some of the rows."""
    condition = text(said)
    return {"sqlite_where": condition, "postgresql_where": condition}


class WarrenTable(SQLModel, registry=registry(metadata=warren_metadata)):
    """The base of all tables of Warren."""


class RecordRow(WarrenTable, table=True):
    """The idempotency record, one for each queue and event id (see engine/model/record.py).

    A table with row ids: where event ids are random, WITHOUT ROWID would write a page a row.
    """

    __tablename__ = "warren_records"

    queue: str = Field(primary_key=True, sa_type=Text)
    event_id: str = Field(primary_key=True, sa_type=Text)
    state: str = Field(sa_type=Text)
    run: int = Field(sa_type=_BIG)
    attempts: int = Field(sa_type=_BIG)
    token: int = Field(sa_type=_BIG)
    worker: str = Field(sa_type=Text)
    body_hash: bytes = Field(sa_type=LargeBinary)
    deaths: int = Field(sa_type=_BIG)
    probation: bool
    created: float
    updated: float


class OutboxRow(WarrenTable, table=True):
    """A message that a committed transaction has promised to send.

    `owner` is the worker that relays it, or NULL when an application wrote it. Rows with one `order_key` leave in
    the order of their commits.
    """

    __tablename__ = "warren_outbox"
    __table_args__ = (
        Index("warren_outbox_owner", "owner", "id"),
        Index("warren_outbox_order", "order_key", **_where("order_key IS NOT NULL")),
    )

    id: str = Field(primary_key=True, sa_type=Text)
    owner: str | None = Field(default=None, sa_type=Text)
    kind: str = Field(sa_type=Text)
    publication: str = Field(sa_type=Text)
    body: bytes = Field(sa_type=LargeBinary)
    due: float | None = None
    created: float
    order_key: str | None = Field(default=None, sa_type=Text)


class BlockRow(WarrenTable, table=True):
    """A key of a handler with a strict order, one of whose events failed: that event, behind which the others wait."""

    __tablename__ = "warren_blocks"
    __table_args__ = (Index("warren_blocks_event", "queue", "event_id"),)

    queue: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    event_id: str = Field(sa_type=Text)
    since: float


class HeldRow(WarrenTable, table=True):
    """A message that waits behind one that failed, in the order of `position`; its record is waiting for that run."""

    __tablename__ = "warren_held"
    __table_args__ = (
        Index("warren_held_line", "queue", "key", "position"),
        Index("warren_held_event", "queue", "event_id", unique=True),
        {"sqlite_autoincrement": True},
    )

    position: int | None = Field(default=None, primary_key=True, sa_type=_BIG)
    queue: str = Field(sa_type=Text)
    key: str = Field(sa_type=Text)
    event_id: str = Field(sa_type=Text)
    publication: str = Field(sa_type=Text)
    body: bytes = Field(sa_type=LargeBinary)
    arrived: float


class DelayedRow(WarrenTable, table=True):
    """A delayed message that can be cancelled: waiting, sent or cancelled (see engine/storage/delayed.py)."""

    __tablename__ = "warren_delayed"
    __table_args__ = (Index("warren_delayed_due", "due"),)

    event_id: str = Field(primary_key=True, sa_type=Text)
    state: str = Field(sa_type=Text)
    due: float
    changed: float


class FailureTable(WarrenTable, table=True):
    """A dead letter, as far as it is searched and listed; kept narrow, so that a scan is short.

    `indexed`: its payload's fields are in `warren_failure_fields`. `archived_by` is the act that archived
    it, `archived_from` its status before that.
    """

    __tablename__ = "warren_failures"
    __table_args__ = (
        Index("warren_failures_key", "queue", "event_id", "run", "body_hash", unique=True),
        Index("warren_failures_arrived", "arrived", "id"),
        Index("warren_failures_status", "status", "arrived", "id"),
        Index("warren_failures_queue", "queue", "arrived", "id"),
        Index("warren_failures_handler", "handler", "arrived", "id"),
        Index("warren_failures_exception", "exception", "arrived", "id"),
        Index("warren_failures_correlation", "correlation_id", "arrived", "id"),
        Index("warren_failures_fingerprint", "fingerprint", "arrived", "id", "status"),
        Index("warren_failures_type", "event_type", "arrived", "id"),
        Index("warren_failures_act", "archived_by", "id", **_where("archived_by IS NOT NULL")),
        Index("warren_failures_unindexed", "id", **_where("indexed IS NULL")),
        {"sqlite_autoincrement": True},  # an id is never given twice: operations hold on to it
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=_BIG)
    queue: str = Field(sa_type=Text)
    event_id: str = Field(sa_type=Text)
    run: int = Field(sa_type=_BIG)
    body_hash: bytes = Field(sa_type=LargeBinary)
    event_type: str = Field(sa_type=Text)
    handler: str = Field(sa_type=Text)
    worker: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    exception: str = Field(sa_type=Text)
    message: str = Field(sa_type=Text)
    fingerprint: str = Field(sa_type=Text)
    attempts: int = Field(sa_type=_BIG)
    first_failed: float
    last_failed: float
    arrived: float
    exchange: str = Field(sa_type=Text)
    routing_key: str = Field(sa_type=Text)
    correlation_id: str | None = Field(default=None, sa_type=Text)
    status: str = Field(sa_type=Text)
    redriven_run: int | None = Field(default=None, sa_type=_BIG)
    changed: float
    indexed: bool | None = None
    archived_by: str | None = Field(default=None, sa_type=Text)
    archived_from: str | None = Field(default=None, sa_type=Text)


class FailureFieldRow(WarrenTable, table=True):
    """A field of a failed message's payload, as the key of its path and value (see engine/model/leaves.py)."""

    __tablename__ = "warren_failure_fields"
    __table_args__ = {"sqlite_with_rowid": False}

    leaf: int = Field(primary_key=True, sa_type=BigInteger)
    failure_id: int = Field(primary_key=True, sa_type=BigInteger)


class FailureCountRow(WarrenTable, table=True):
    """How many failures there are of a kind. Triggers keep it, on SQLite alone: a count there is a scan."""

    __tablename__ = "warren_failure_counts"
    __table_args__ = {"sqlite_with_rowid": False}

    fingerprint: str = Field(primary_key=True, sa_type=Text)
    status: str = Field(primary_key=True, sa_type=Text)
    handler: str = Field(primary_key=True, sa_type=Text)
    queue: str = Field(primary_key=True, sa_type=Text)
    exception: str = Field(primary_key=True, sa_type=Text)
    event_type: str = Field(primary_key=True, sa_type=Text)
    total: int = Field(sa_type=_BIG)


class FailedMessageRow(WarrenTable, table=True):
    """The bulk of a dead letter: the message as it was, and the traceback."""

    __tablename__ = "warren_failed_messages"

    failure_id: int = Field(primary_key=True, sa_type=_BIG, foreign_key="warren_failures.id", ondelete="CASCADE")
    traceback: str = Field(sa_type=Text)
    properties: str = Field(sa_type=Text)
    body: bytes = Field(sa_type=LargeBinary)


class WorkerRow(WarrenTable, table=True):
    """A worker process, as it last reported itself; `beat` is for people, never proof of life."""

    __tablename__ = "warren_workers"

    id: str = Field(primary_key=True, sa_type=Text)
    app: str = Field(sa_type=Text)
    version: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    started: float
    beat: float
    info: str = Field(sa_type=Text)


class BeatRow(WarrenTable, table=True):
    """The counter that a living worker raises; used where there is no file lock to prove life."""

    __tablename__ = "warren_beats"

    worker: str = Field(primary_key=True, sa_type=Text)
    counter: int = Field(sa_type=_BIG)


class StatsRow(WarrenTable, table=True):
    """What one worker counted on one queue since its start; `latency` is a JSON list of bucket counts."""

    __tablename__ = "warren_stats"

    worker: str = Field(primary_key=True, sa_type=Text)
    queue: str = Field(primary_key=True, sa_type=Text)
    handler: str = Field(sa_type=Text)
    handled: int = Field(sa_type=_BIG)
    failed: int = Field(sa_type=_BIG)
    retried: int = Field(sa_type=_BIG)
    duplicates: int = Field(sa_type=_BIG)
    stale: int = Field(sa_type=_BIG)
    parked: int = Field(sa_type=_BIG)
    dead: int = Field(sa_type=_BIG)
    in_flight: int = Field(sa_type=_BIG)
    latency: str = Field(sa_type=Text)
    updated: float


class QueueRow(WarrenTable, table=True):
    """A queue that an application declared, so that a renamed handler's orphan can be named."""

    __tablename__ = "warren_queues"

    queue: str = Field(primary_key=True, sa_type=Text)
    app: str = Field(sa_type=Text)
    handler: str = Field(sa_type=Text)
    patterns: str = Field(sa_type=Text)
    first_declared: float
    last_declared: float


class PauseRow(WarrenTable, table=True):
    """A queue that an operator paused: no worker consumes it."""

    __tablename__ = "warren_pauses"

    queue: str = Field(primary_key=True, sa_type=Text)
    since: float
    who: str = Field(sa_type=Text)
    why: str = Field(sa_type=Text)


class CircuitRow(WarrenTable, table=True):
    """A queue whose circuit is open: `worker` probes it, the others keep off."""

    __tablename__ = "warren_circuits"

    queue: str = Field(primary_key=True, sa_type=Text)
    worker: str = Field(sa_type=Text)
    fingerprint: str = Field(sa_type=Text)
    exception: str = Field(sa_type=Text)
    failures: int = Field(sa_type=_BIG)
    since: float
    probes: int = Field(sa_type=_BIG)
    next_probe: float


class LeaseRow(WarrenTable, table=True):
    """A piece of work that one worker does for all; `token` grows with each new owner."""

    __tablename__ = "warren_leases"

    name: str = Field(primary_key=True, sa_type=Text)
    owner: str | None = Field(default=None, sa_type=Text)
    token: int = Field(sa_type=_BIG)
    taken: float


class ScheduleRow(WarrenTable, table=True):
    """A schedule: up to which moment it is settled, and the last tick that was published.

    `spec`, `timezone` and `missed` are those of the worker that has its lease.
    """

    __tablename__ = "warren_schedules"

    name: str = Field(primary_key=True, sa_type=Text)
    app: str = Field(sa_type=Text)
    spec: str = Field(sa_type=Text)
    timezone: str = Field(sa_type=Text)
    missed: str = Field(sa_type=Text)
    last: float
    next: float
    fired: float | None = None
    worker: str = Field(sa_type=Text)
    changed: float


class AuditRow(WarrenTable, table=True):
    """An act of an operator; rows are only ever added."""

    __tablename__ = "warren_audit"
    __table_args__ = (Index("warren_audit_at", "at", "id"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True, sa_type=_BIG)
    at: float
    who: str = Field(sa_type=Text)
    action: str = Field(sa_type=Text)
    why: str = Field(sa_type=Text)
    what: str = Field(sa_type=Text)
    outcome: str = Field(sa_type=Text)


class OperationRow(WarrenTable, table=True):
    """A redrive or a replay that somebody ordered, and how far it is (see engine/model/operation.py).

    `asked` and `options` are JSON; `target` is the queue that a replay sends to. `pace` is in
    messages a second. `owner` is the process that performs it. `cursor` is JSON: how far the replay of a stream is.
    """

    __tablename__ = "warren_operations"
    __table_args__ = (Index("warren_operations_created", "created", "id"), Index("warren_operations_state", "state"))

    id: str = Field(primary_key=True, sa_type=Text)
    app: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    stage: str = Field(sa_type=Text)
    who: str = Field(sa_type=Text)
    why: str = Field(sa_type=Text)
    asked: str = Field(sa_type=Text)
    options: str = Field(sa_type=Text)
    target: str = Field(sa_type=Text)
    total: int = Field(sa_type=_BIG)
    sent: int = Field(sa_type=_BIG)
    succeeded: int = Field(sa_type=_BIG)
    failed_again: int = Field(sa_type=_BIG)
    failed_otherwise: int = Field(sa_type=_BIG)
    skipped: int = Field(sa_type=_BIG)
    base_position: int = Field(sa_type=_BIG)
    base_sent: int = Field(sa_type=_BIG)
    fresh_verified: int = Field(sa_type=_BIG)
    fresh_failed: int = Field(sa_type=_BIG)
    pace: float
    note: str = Field(sa_type=Text)
    owner: str | None = Field(default=None, sa_type=Text)
    created: float
    started: float | None = None
    ended: float | None = None
    changed: float
    cursor: str | None = Field(default=None, sa_type=Text)


class OperationItemRow(WarrenTable, table=True):
    """One message of an operation, frozen when it was ordered: a failure's id, or an event's position.

    Of the replay of a stream there are those alone that have not succeeded yet: an offset, with the event's id.
    """

    __tablename__ = "warren_operation_items"
    __table_args__ = (
        Index("warren_operation_items_state", "operation", "state", "position"),
        Index("warren_operation_items_subject", "subject"),
    )

    operation: str = Field(primary_key=True, sa_type=Text)
    position: int = Field(primary_key=True, sa_type=_BIG)
    subject: int = Field(sa_type=_BIG)
    state: str = Field(sa_type=Text)
    verdict: str = Field(sa_type=Text)
    run: int | None = Field(default=None, sa_type=_BIG)
    changed: float
    event_id: str | None = Field(default=None, sa_type=Text)


class EditRow(WarrenTable, table=True):
    """A body that an operator changed before its redrive: both versions, the difference, who and why.

    `state` is pending, replaced, reverted or sent; `operation` is the redrive that sent it.
    """

    __tablename__ = "warren_edits"
    __table_args__ = (
        Index("warren_edits_failure", "failure_id", "id"),
        Index("warren_edits_pending", "failure_id", unique=True, **_where("state = 'pending'")),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=_BIG)
    failure_id: int = Field(sa_type=_BIG)
    operation: str | None = Field(default=None, sa_type=Text)
    at: float
    who: str = Field(sa_type=Text)
    why: str = Field(sa_type=Text)
    original: bytes = Field(sa_type=LargeBinary)
    edited: bytes = Field(sa_type=LargeBinary)
    diff: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    changed: float


class EventRow(WarrenTable, table=True):
    """An event of the log: emitted, published with a transaction, appended or journalled.

    `version` is its place in the stream of its aggregate, NULL for what belongs to no stream.
    `time` is when it happened, by its publisher; `recorded` when it was written here; `due` when it
    goes out, where it was delayed. `routing_key` is NULL where it is the event type, and
    `properties` is empty where the message has no other than the columns tell (see engine/storage/event_log.py).
    """

    __tablename__ = "warren_events"
    __table_args__ = (
        Index("warren_events_id", "event_id", unique=True),
        Index(
            "warren_events_stream",
            "aggregate_type",
            "aggregate_id",
            "version",
            unique=True,
            **_where("version IS NOT NULL"),
        ),
        Index("warren_events_aggregate", "aggregate_id", **_where("aggregate_id IS NOT NULL")),
        Index("warren_events_type", "event_type", "position"),
        Index("warren_events_correlation", "correlation_id"),
        Index("warren_events_recorded", "recorded"),
        # No autoincrement: it costs a write a row. The newest row is never deleted, so no position is given twice.
    )

    position: int | None = Field(default=None, primary_key=True, sa_type=_BIG)
    event_id: str = Field(sa_type=Text)
    event_type: str = Field(sa_type=Text)
    aggregate_type: str | None = Field(default=None, sa_type=Text)
    aggregate_id: str | None = Field(default=None, sa_type=Text)
    version: int | None = Field(default=None, sa_type=_BIG)
    origin: str = Field(sa_type=Text)
    queue: str = Field(sa_type=Text)
    source: str = Field(sa_type=Text)
    correlation_id: str | None = Field(default=None, sa_type=Text)
    causation_id: str | None = Field(default=None, sa_type=Text)
    exchange: str = Field(sa_type=Text)
    routing_key: str | None = Field(default=None, sa_type=Text)
    time: float
    due: float | None = None
    recorded: float
    properties: str = Field(sa_type=Text)
    body: bytes = Field(sa_type=LargeBinary)


class SnapshotRow(WarrenTable, table=True):
    """What an aggregate was at one version of its stream: the newest for each schema of its state.

    `event_id` is that of the last event in it; `taken` when it was written.
    """

    __tablename__ = "warren_snapshots"

    aggregate_type: str = Field(primary_key=True, sa_type=Text)
    aggregate_id: str = Field(primary_key=True, sa_type=Text)
    schema_: str = Field(primary_key=True, sa_type=Text, sa_column_kwargs={"name": "schema"})
    version: int = Field(sa_type=_BIG)
    event_id: str = Field(sa_type=Text)
    state: bytes = Field(sa_type=LargeBinary)
    taken: float


class ArchivedStreamRow(WarrenTable, table=True):
    """A stream whose events were moved out of the log; nothing is appended to it any more."""

    __tablename__ = "warren_archived_streams"

    aggregate_type: str = Field(primary_key=True, sa_type=Text)
    aggregate_id: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(sa_type=_BIG)
    archived: float


class MetaRow(WarrenTable, table=True):
    """Facts about the database itself, such as the oldest program that may still use it."""

    __tablename__ = "warren_meta"

    key: str = Field(primary_key=True, sa_type=Text)
    value: str = Field(sa_type=Text)


def _table(model: type[WarrenTable]) -> Table:
    return cast("Table", getattr(model, "__table__"))  # noqa: B009  # the attribute is untyped


records = _table(RecordRow)
outbox = _table(OutboxRow)
blocks = _table(BlockRow)
held = _table(HeldRow)
delayed = _table(DelayedRow)
failures = _table(FailureTable)
failure_fields = _table(FailureFieldRow)
failure_counts = _table(FailureCountRow)
failed_messages = _table(FailedMessageRow)
workers = _table(WorkerRow)
beats = _table(BeatRow)
stats = _table(StatsRow)
queues = _table(QueueRow)
pauses = _table(PauseRow)
circuits = _table(CircuitRow)
leases = _table(LeaseRow)
schedules = _table(ScheduleRow)
audit = _table(AuditRow)
operations = _table(OperationRow)
operation_items = _table(OperationItemRow)
edits = _table(EditRow)
events = _table(EventRow)
snapshots = _table(SnapshotRow)
archived_streams = _table(ArchivedStreamRow)
meta = _table(MetaRow)
