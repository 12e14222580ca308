"""The log of events: what handlers emitted, what was published with a transaction, appended or journalled.

Rows are only ever added, with the transaction that causes them. An event has one place in
the log, by its id: whoever appends it again changes nothing.
"""

# ruff: noqa: S608  # what is put together here are names of columns

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC
from enum import StrEnum
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from engine.model import headers as names
from engine.model.event import Event
from engine.model.message import Message
from engine.model.outgoing import Outgoing
from engine.storage import tables
from engine.storage.listed import within
from engine.storage.positions import announce
from engine.storage.statements import conflict_insert, run_many
from engine.storage.stored import PROPERTIES, build_message

_events = tables.events

_COLUMNS = (
    "event_id",
    "event_type",
    "aggregate_type",
    "aggregate_id",
    "version",
    "origin",
    "queue",
    "source",
    "correlation_id",
    "causation_id",
    "exchange",
    "routing_key",
    "time",
    "due",
    "recorded",
    "properties",
    "body",
)
# Only for the id: a version that is taken in a stream is an error.
_INSERT_NEW = f"INSERT INTO warren_events ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_INSERT = f"{_INSERT_NEW} ON CONFLICT (event_id) DO NOTHING"
_JSON = "application/json"


class Origin(StrEnum):
    """How an event came into the log."""

    #: By a handler, when its outcome was committed.
    EMITTED = "emitted"
    #: By an application, through the outbox.
    PUBLISHED = "published"
    #: By a schedule.
    SCHEDULED = "scheduled"
    #: To the stream of an aggregate.
    APPENDED = "appended"
    #: By somebody else: the journal took it from the exchange.
    JOURNALLED = "journalled"


class Entry(NamedTuple):
    """An event to be appended. `time` and `due` in seconds since the epoch.

    `queue` is that of the handler which emitted it, or nothing. Without a `version` it belongs to
    no stream, whatever aggregate it is about. `message` is what was published of it, or will be.
    """

    event_id: str
    event_type: str
    aggregate_type: str | None
    aggregate_id: str | None
    version: int | None
    origin: Origin
    queue: str
    source: str
    correlation_id: str | None
    causation_id: str | None
    exchange: str
    routing_key: str
    time: float
    due: float | None
    message: Message


class LoggedEvent(NamedTuple):
    """An event of the log as it is listed. Times in seconds since the epoch, UTC."""

    position: int
    event_id: str
    event_type: str
    aggregate_type: str | None
    aggregate_id: str | None
    version: int | None
    origin: Origin
    queue: str
    source: str
    correlation_id: str | None
    causation_id: str | None
    exchange: str
    routing_key: str
    time: float
    due: float | None
    recorded: float


_fields = attrgetter(*LoggedEvent._fields)


class EventDetail(NamedTuple):
    """One event of the log with its message, body byte for byte."""

    row: LoggedEvent
    message: Message


class Old(NamedTuple):
    """Positions of events to forget, and where to look on (None at the end)."""

    positions: list[int]
    next: int | None


def emitted(row: Outgoing, event: Event[Any], queue: str, origin: Origin = Origin.EMITTED) -> Entry:
    """The entry of an event that this row of the outbox sends."""
    moment = event.timestamp if event.timestamp.tzinfo is not None else event.timestamp.replace(tzinfo=UTC)
    return Entry(
        event.id,
        event.type,
        event.aggregate_type,
        event.aggregate_id,
        None,
        origin,
        queue,
        event.source,
        event.correlation_id or event.id,
        event.causation_id,
        row.exchange,
        row.routing_key,
        moment.timestamp(),
        row.due,
        row.message,
    )


def append(connection: Connection, entries: Sequence[Entry], *, now: float) -> int:
    """Append events in this order; those that are there already stay as they are. How many were new.

    Raises SQLAlchemy's `IntegrityError` where the version of an entry is taken in its stream.
    """
    if not entries:
        return 0
    announce(connection)
    return run_many(connection, _INSERT, [_stored(entry, now) for entry in entries])


def append_as_guest(connection: Connection, entries: Sequence[Entry], *, now: float) -> None:
    """The same on a connection of the application's, whatever its driver."""
    if entries:
        announce(connection)
        statement = conflict_insert(connection, _events).on_conflict_do_nothing(index_elements=["event_id"])
        connection.execute(statement, [dict(zip(_COLUMNS, _stored(entry, now), strict=True)) for entry in entries])


def append_new(connection: Connection, entries: Sequence[Entry], *, now: float) -> None:
    """Append events that are not there yet. Raises SQLAlchemy's `IntegrityError` where an id or a version is taken."""
    if entries:
        announce(connection)
        run_many(connection, _INSERT_NEW, [_stored(entry, now) for entry in entries])


def append_new_as_guest(connection: Connection, entries: Sequence[Entry], *, now: float) -> None:
    """The same on a connection of the application's, whatever its driver."""
    if entries:
        announce(connection)
        connection.execute(
            insert(_events), [dict(zip(_COLUMNS, _stored(entry, now), strict=True)) for entry in entries]
        )


def get_many(connection: Connection, positions: Sequence[int]) -> list[EventDetail]:
    """The events at these positions, whole, by position; what is not there is left out."""
    rows = connection.execute(select(_events).where(within(_events.c.position, positions)).order_by(_events.c.position))
    return [to_detail(row) for row in rows]


def old(
    connection: Connection, *, after: int, before: float, size: int, before_of: Callable[[str], float] | None = None
) -> Old:
    """Of the next `size` events above a position those that were recorded before this time and belong to no stream.

    `before_of` gives the time for a type of event; none is later than `before`.
    """
    columns = (_events.c.position, _events.c.recorded, _events.c.version, _events.c.event_type)
    rows = connection.execute(
        select(*columns).where(_events.c.position > after).order_by(_events.c.position).limit(size)
    ).all()
    more = len(rows) == size and any(row.recorded < before for row in rows)
    found = [
        row.position
        for row in rows
        if row.version is None and row.recorded < (before if before_of is None else before_of(row.event_type))
    ]
    return Old(found, rows[-1].position if more else None)


def forget(connection: Connection, positions: Sequence[int]) -> int:
    """Delete the events at these positions, but none of a stream and not the newest of all; how many there were.

    On SQLite the next position is the one above the newest, so without that one they would begin anew.
    """
    newest = select(func.max(_events.c.position)).scalar_subquery()
    statement = delete(_events).where(
        within(_events.c.position, positions), _events.c.version.is_(None), _events.c.position < newest
    )
    return connection.execute(statement).rowcount


def to_row(row: Any) -> LoggedEvent:
    """A row of the table, with its columns by name."""
    found = LoggedEvent._make(_fields(row))
    key = row.event_type if row.routing_key is None else row.routing_key
    return found._replace(origin=Origin(found.origin), routing_key=key)


def to_detail(row: Any) -> EventDetail:
    """The same with its message; the row must have all columns."""
    logged = to_row(row)
    found = _usual(logged.event_id, logged.event_type, logged.source, logged.correlation_id, logged.time)
    if row.properties:
        found |= json.loads(row.properties)
    return EventDetail(logged, build_message(row.body, found))


def _usual(
    event_id: str, event_type: str, source: str, correlation_id: str | None, time: float
) -> dict[str, Any]:  # fmt: skip
    """The properties of a message as we write it ourselves, which are not stored once more."""
    return {
        "message_id": event_id,
        "correlation_id": correlation_id,
        "type": event_type,
        "app_id": source or None,
        "content_type": _JSON,
        "timestamp": max(0, int(time)),
    }


def _stored(entry: Entry, now: float) -> tuple[Any, ...]:
    message = entry.message
    return (
        entry.event_id,
        entry.event_type,
        entry.aggregate_type,
        entry.aggregate_id,
        entry.version,
        entry.origin.value,
        entry.queue,
        entry.source,
        entry.correlation_id,
        entry.causation_id,
        entry.exchange,
        None if entry.routing_key == entry.event_type else entry.routing_key,
        entry.time,
        entry.due,
        now,
        _dump_unusual(entry, message),
        message.body,
    )


def _dump_unusual(entry: Entry, message: Message) -> str:
    """What of the message the columns do not tell, as ASCII JSON; nothing in the usual case."""
    usual = _usual(entry.event_id, entry.event_type, entry.source, entry.correlation_id, entry.time)
    found: dict[str, Any] = {}
    for name in PROPERTIES:
        value = getattr(message, name)
        if value != usual.get(name):
            found[name] = value
    if message.headers:
        found["headers"] = names.dump(message.headers)
    return json.dumps(found, separators=(",", ":")) if found else ""
