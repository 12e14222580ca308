"""Dead letters: as they are searched and counted, whole, and as operators edited them."""

from __future__ import annotations

from sqlmodel import BigInteger, Field, Index, LargeBinary, Text

from engine.storage.tables.base import BIG, WarrenTable, where


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
        Index("warren_failures_act", "archived_by", "id", **where("archived_by IS NOT NULL")),
        Index("warren_failures_unindexed", "id", **where("indexed IS NULL")),
        {"sqlite_autoincrement": True},  # an id is never given twice: operations hold on to it
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    queue: str = Field(sa_type=Text)
    event_id: str = Field(sa_type=Text)
    run: int = Field(sa_type=BIG)
    body_hash: bytes = Field(sa_type=LargeBinary)
    event_type: str = Field(sa_type=Text)
    handler: str = Field(sa_type=Text)
    worker: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    exception: str = Field(sa_type=Text)
    message: str = Field(sa_type=Text)
    fingerprint: str = Field(sa_type=Text)
    attempts: int = Field(sa_type=BIG)
    first_failed: float
    last_failed: float
    arrived: float
    exchange: str = Field(sa_type=Text)
    routing_key: str = Field(sa_type=Text)
    correlation_id: str | None = Field(default=None, sa_type=Text)
    status: str = Field(sa_type=Text)
    redriven_run: int | None = Field(default=None, sa_type=BIG)
    changed: float
    indexed: bool | None = None
    archived_by: str | None = Field(default=None, sa_type=Text)
    archived_from: str | None = Field(default=None, sa_type=Text)


class FailureFieldRow(WarrenTable, table=True):
    """A field of a failed message's payload, as the key of its path and value (see engine/model/leaves.py)."""

    __tablename__ = "warren_failure_fields"
    __table_args__ = ({"sqlite_with_rowid": False},)

    leaf: int = Field(primary_key=True, sa_type=BigInteger)
    failure_id: int = Field(primary_key=True, sa_type=BigInteger)


class FailureCountRow(WarrenTable, table=True):
    """How many failures there are of a kind. Triggers keep it, on SQLite alone: a count there is a scan."""

    __tablename__ = "warren_failure_counts"
    __table_args__ = ({"sqlite_with_rowid": False},)

    fingerprint: str = Field(primary_key=True, sa_type=Text)
    status: str = Field(primary_key=True, sa_type=Text)
    handler: str = Field(primary_key=True, sa_type=Text)
    queue: str = Field(primary_key=True, sa_type=Text)
    exception: str = Field(primary_key=True, sa_type=Text)
    event_type: str = Field(primary_key=True, sa_type=Text)
    total: int = Field(sa_type=BIG)


class FailedMessageRow(WarrenTable, table=True):
    """The bulk of a dead letter: the message as it was, and the traceback."""

    __tablename__ = "warren_failed_messages"

    failure_id: int = Field(primary_key=True, sa_type=BIG, foreign_key="warren_failures.id", ondelete="CASCADE")
    traceback: str = Field(sa_type=Text)
    properties: str = Field(sa_type=Text)
    body: bytes = Field(sa_type=LargeBinary)


class EditRow(WarrenTable, table=True):
    """A body that an operator changed before its redrive: both versions, the difference, who and why.

    `state` is pending, replaced, reverted or sent; `operation` is the redrive that sent it.
    """

    __tablename__ = "warren_edits"
    __table_args__ = (
        Index("warren_edits_failure", "failure_id", "id"),
        Index("warren_edits_pending", "failure_id", unique=True, **where("state = 'pending'")),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    failure_id: int = Field(sa_type=BIG)
    operation: str | None = Field(default=None, sa_type=Text)
    at: float
    who: str = Field(sa_type=Text)
    why: str = Field(sa_type=Text)
    original: bytes = Field(sa_type=LargeBinary)
    edited: bytes = Field(sa_type=LargeBinary)
    diff: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    changed: float
