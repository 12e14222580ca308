"""What operators did: the audit, and recorded operations with their messages."""

from __future__ import annotations

from sqlmodel import Field, Index, Text

from engine.storage.tables.base import BIG, WarrenTable


class AuditRow(WarrenTable, table=True):
    """An act of an operator; rows are only ever added."""

    __tablename__ = "warren_audit"
    __table_args__ = (Index("warren_audit_at", "at", "id"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True, sa_type=BIG)
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
    total: int = Field(sa_type=BIG)
    sent: int = Field(sa_type=BIG)
    succeeded: int = Field(sa_type=BIG)
    failed_again: int = Field(sa_type=BIG)
    failed_otherwise: int = Field(sa_type=BIG)
    skipped: int = Field(sa_type=BIG)
    base_position: int = Field(sa_type=BIG)
    base_sent: int = Field(sa_type=BIG)
    fresh_verified: int = Field(sa_type=BIG)
    fresh_failed: int = Field(sa_type=BIG)
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
    position: int = Field(primary_key=True, sa_type=BIG)
    subject: int = Field(sa_type=BIG)
    state: str = Field(sa_type=Text)
    verdict: str = Field(sa_type=Text)
    run: int | None = Field(default=None, sa_type=BIG)
    changed: float
    event_id: str | None = Field(default=None, sa_type=Text)
