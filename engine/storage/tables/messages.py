"""Messages under way: their records, the outbox, what is delayed, and what waits in an order."""

from __future__ import annotations

from sqlmodel import Field, Index, LargeBinary, Text

from engine.storage.tables.base import BIG, WarrenTable, where


class RecordRow(WarrenTable, table=True):
    """The idempotency record, one for each queue and event id (see engine/model/record.py).

    A table with row ids: where event ids are random, WITHOUT ROWID would write a page a row.
    """

    __tablename__ = "warren_records"

    queue: str = Field(primary_key=True, sa_type=Text)
    event_id: str = Field(primary_key=True, sa_type=Text)
    state: str = Field(sa_type=Text)
    run: int = Field(sa_type=BIG)
    attempts: int = Field(sa_type=BIG)
    token: int = Field(sa_type=BIG)
    worker: str = Field(sa_type=Text)
    body_hash: bytes = Field(sa_type=LargeBinary)
    deaths: int = Field(sa_type=BIG)
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
        Index("warren_outbox_order", "order_key", **where("order_key IS NOT NULL")),
    )

    id: str = Field(primary_key=True, sa_type=Text)
    owner: str | None = Field(default=None, sa_type=Text)
    kind: str = Field(sa_type=Text)
    publication: str = Field(sa_type=Text)
    body: bytes = Field(sa_type=LargeBinary)
    due: float | None = None
    created: float
    order_key: str | None = Field(default=None, sa_type=Text)


class DelayedRow(WarrenTable, table=True):
    """A delayed message that can be cancelled: waiting, sent or cancelled (see engine/storage/delayed.py)."""

    __tablename__ = "warren_delayed"
    __table_args__ = (Index("warren_delayed_due", "due"),)

    event_id: str = Field(primary_key=True, sa_type=Text)
    state: str = Field(sa_type=Text)
    due: float
    changed: float


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

    position: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    queue: str = Field(sa_type=Text)
    key: str = Field(sa_type=Text)
    event_id: str = Field(sa_type=Text)
    publication: str = Field(sa_type=Text)
    body: bytes = Field(sa_type=LargeBinary)
    arrived: float
