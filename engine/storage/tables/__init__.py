"""The tables, on metadata of their own, so that they can share a database with the user's.

Statements are written in SQLAlchemy Core with the tables at the end of this file. Times
are float seconds since the epoch, UTC. Text columns hold no NUL, since PostgreSQL takes
none: what may contain one is kept as bytes or as JSON.
"""

from __future__ import annotations

from typing import cast

from sqlalchemy import Table

from engine.storage.tables.acts import AuditRow, OperationItemRow, OperationRow
from engine.storage.tables.base import MetaRow, WarrenTable, warren_metadata
from engine.storage.tables.failures import EditRow, FailedMessageRow, FailureCountRow, FailureFieldRow, FailureTable
from engine.storage.tables.fleet import (
    BeatRow,
    CircuitRow,
    LeaseRow,
    PauseRow,
    QueueRow,
    ScheduleRow,
    StatsRow,
    WorkerRow,
)
from engine.storage.tables.log import ArchivedStreamRow, EventRow, SnapshotRow
from engine.storage.tables.messages import BlockRow, DelayedRow, HeldRow, OutboxRow, RecordRow

__all__ = [
    "ArchivedStreamRow",
    "AuditRow",
    "BeatRow",
    "BlockRow",
    "CircuitRow",
    "DelayedRow",
    "EditRow",
    "EventRow",
    "FailedMessageRow",
    "FailureCountRow",
    "FailureFieldRow",
    "FailureTable",
    "HeldRow",
    "LeaseRow",
    "MetaRow",
    "OperationItemRow",
    "OperationRow",
    "OutboxRow",
    "PauseRow",
    "QueueRow",
    "RecordRow",
    "ScheduleRow",
    "SnapshotRow",
    "StatsRow",
    "WarrenTable",
    "WorkerRow",
    "archived_streams",
    "audit",
    "beats",
    "blocks",
    "circuits",
    "delayed",
    "edits",
    "events",
    "failed_messages",
    "failure_counts",
    "failure_fields",
    "failures",
    "held",
    "leases",
    "meta",
    "operation_items",
    "operations",
    "outbox",
    "pauses",
    "queues",
    "records",
    "schedules",
    "snapshots",
    "stats",
    "warren_metadata",
    "workers",
]


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
