"""The log of events, with snapshots and archived streams."""

from __future__ import annotations

from sqlmodel import Field, Index, LargeBinary, Text

from engine.storage.tables.base import BIG, WarrenTable, where


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
            **where("version IS NOT NULL"),
        ),
        Index("warren_events_aggregate", "aggregate_id", **where("aggregate_id IS NOT NULL")),
        Index("warren_events_type", "event_type", "position"),
        Index("warren_events_correlation", "correlation_id"),
        Index("warren_events_recorded", "recorded"),
        # No autoincrement: it costs a write a row. The newest row is never deleted, so no position is given twice.
    )

    position: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    event_id: str = Field(sa_type=Text)
    event_type: str = Field(sa_type=Text)
    aggregate_type: str | None = Field(default=None, sa_type=Text)
    aggregate_id: str | None = Field(default=None, sa_type=Text)
    version: int | None = Field(default=None, sa_type=BIG)
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
    version: int = Field(sa_type=BIG)
    event_id: str = Field(sa_type=Text)
    state: bytes = Field(sa_type=LargeBinary)
    taken: float


class ArchivedStreamRow(WarrenTable, table=True):
    """A stream whose events were moved out of the log; nothing is appended to it any more."""

    __tablename__ = "warren_archived_streams"

    aggregate_type: str = Field(primary_key=True, sa_type=Text)
    aggregate_id: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(sa_type=BIG)
    archived: float
