"""What the database knows of one correlation id, for a trace. Only reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, or_, select

from engine.model.outgoing import Kind
from engine.storage import event_search, tables
from engine.storage.delayed import Fate
from engine.storage.event_log import LoggedEvent
from engine.storage.event_search import EventFilter
from engine.storage.listed import within

_events = tables.events
_failures = tables.failures
_outbox = tables.outbox
_delayed = tables.delayed
_edits = tables.edits
_items = tables.operation_items
_operations = tables.operations

#: Ids in one statement.
_CHUNK = 500
#: Events that are looked through in one read for the correlations of late.
_SLICE = 1000


class Promised(NamedTuple):
    """A row of the outbox: what it is, for whom, and when it is due."""

    kind: Kind
    event_id: str
    event_type: str
    routing_key: str
    due: float | None
    created: float


class Delay(NamedTuple):
    """What was decided about a delayed event, and when it is due."""

    fate: Fate
    due: float


class Touched(NamedTuple):
    """What an operation did with a failure or an event of the log, its subject. `at` is when it was ordered."""

    kind: str
    operation: str
    subject: int
    target: str
    who: str
    why: str
    at: float
    outcome: str


class Edited(NamedTuple):
    """An edit of a failed message."""

    id: int
    failure_id: int
    operation: str | None
    who: str
    why: str
    at: float
    state: str


class Recent(NamedTuple):
    """A correlation of late, as the log knows it. `position` is that of its newest event that was looked at."""

    correlation_id: str
    type: str
    began: float
    last: float
    events: int
    failures: int
    position: int


def promised(connection: Connection, correlation_id: str, limit: int) -> list[Promised]:
    """What waits in the outbox with this correlation id, or is the event of this id."""
    named = _outbox.c.publication.contains(json.dumps(correlation_id), autoescape=True)
    columns = (_outbox.c.kind, _outbox.c.publication, _outbox.c.due, _outbox.c.created)
    rows = connection.execute(select(*columns).where(named).order_by(_outbox.c.id).limit(limit))
    found = [(kind, json.loads(text), due, created) for kind, text, due, created in rows]
    return [
        Promised(Kind(kind), said["message_id"], said.get("type") or "", said["routing_key"], due, created)
        for kind, said, due, created in found
        if said.get("message_id") and correlation_id in (said.get("correlation_id"), said["message_id"])
    ]


def delays(connection: Connection, event_ids: Sequence[str]) -> dict[str, Delay]:
    """What was decided about those of these events that were delayed and could be cancelled."""
    return {
        row.event_id: Delay(Fate(row.state), row.due)
        for chunk in _chunks(event_ids)
        for row in connection.execute(select(_delayed).where(_delayed.c.event_id.in_(chunk)))
    }


def touched(connection: Connection, failure_ids: Sequence[int], positions: Sequence[int]) -> list[Touched]:
    """The redrives of these failures and the replays of these events, oldest first."""
    columns = (
        *(_operations.c.kind, _operations.c.id, _items.c.subject, _operations.c.target),
        *(_operations.c.who, _operations.c.why, _operations.c.created, _items.c.state),
    )
    rows = connection.execute(
        select(*columns)
        .join_from(_items, _operations, _operations.c.id == _items.c.operation)
        .where(
            or_(
                (_operations.c.kind == "redrive") & within(_items.c.subject, failure_ids),
                (_operations.c.kind == "replay") & within(_items.c.subject, positions),
            )
        )
        .order_by(_operations.c.created, _operations.c.id, _items.c.position)
    )
    return [Touched(*row) for row in rows]


def edited(connection: Connection, failure_ids: Sequence[int]) -> list[Edited]:
    """The edits of these failures, oldest first."""
    columns = [_edits.c[name] for name in Edited._fields]
    rows = connection.execute(
        select(*columns).where(within(_edits.c.failure_id, failure_ids)).order_by(_edits.c.id)
    )  # fmt: skip
    return [Edited(*row) for row in rows]


def correlation_of(connection: Connection, reference: str) -> str | None:
    """The correlation id that this is: it itself, or that of the event or failure whose id it is."""
    for table in (_events, _failures):
        if connection.scalar(select(table.c.correlation_id).where(table.c.correlation_id == reference).limit(1)):
            return reference
    for table in (_events, _failures):
        row = connection.execute(
            select(table.c.correlation_id).where(table.c.event_id == reference).limit(1)
        ).one_or_none()
        if row is not None:
            return str(row.correlation_id or reference)
    number = reference.removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) < 19:
        columns = (_failures.c.correlation_id, _failures.c.event_id)
        row = connection.execute(select(*columns).where(_failures.c.id == int(number))).one_or_none()
        if row is not None:
            return str(row.correlation_id or row.event_id)
    return None


def recent(connection: Connection, wanted: EventFilter, *, limit: int, before: int | None) -> list[Recent]:
    """The correlations of the newest matching events, at most `limit`; `before` continues below a position."""
    seen: dict[str, LoggedEvent] = {}
    while len(seen) < limit:
        rows = event_search.search(connection, wanted, limit=_SLICE, before=before)
        for row in rows:
            seen.setdefault(row.correlation_id or row.event_id, row)
            if len(seen) == limit:
                break
        if len(rows) < _SLICE:
            break
        before = rows[-1].position
    counted = dict(_counted(connection, list(seen)))
    failed = dict(_failed(connection, list(seen)))
    return [
        Recent(name, *counted.get(name, (row.event_type, row.time, row.recorded, 1)), failed.get(name, 0), row.position)
        for name, row in seen.items()
    ]


def _counted(connection: Connection, names: Sequence[str]) -> Iterator[tuple[str, tuple[str, float, float, int]]]:
    first = _events.alias("first")
    numbers = (func.count(), func.min(_events.c.position), func.max(_events.c.recorded))
    for chunk in _chunks(names):
        grouped = select(_events.c.correlation_id, *numbers).where(_events.c.correlation_id.in_(chunk))
        found = {row[0]: row[1:] for row in connection.execute(grouped.group_by(_events.c.correlation_id))}
        firsts = connection.execute(
            select(first.c.correlation_id, first.c.event_type, first.c.time).where(
                within(first.c.position, [row[1] for row in found.values()])
            )
        )
        for name, kind, time in firsts:
            number, _, last = found[name]
            yield name, (kind, time, last, number)


def _failed(connection: Connection, names: Sequence[str]) -> Iterator[tuple[str, int]]:
    for chunk in _chunks(names):
        still = (_failures.c.correlation_id.in_(chunk), _failures.c.status == "open")
        grouped = select(_failures.c.correlation_id, func.count()).where(*still).group_by(_failures.c.correlation_id)
        yield from ((name, number) for name, number in connection.execute(grouped))


def _chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    whole = list(values)
    for start in range(0, len(whole), _CHUNK):
        yield whole[start : start + _CHUNK]
