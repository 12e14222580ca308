"""Finding events in the log: filters, pages by position, and reading on without skipping any."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, LargeBinary, Select, bindparam, func, or_, select
from sqlalchemy.sql import ColumnElement

from engine.model.topology import topic_matches
from engine.storage import tables
from engine.storage.delayed import Fate
from engine.storage.event_log import EventDetail, LoggedEvent, Origin, to_detail, to_row
from engine.storage.listed import within
from engine.storage.positions import complete_up_to

_events = tables.events
_delayed = tables.delayed
_LISTED = [_events.c[name] for name in LoggedEvent._fields]

#: The newest events whose bodies are searched for a text: bodies have no index.
SEARCHED = 50_000

#: So many types are counted one by one.
_SOME_TYPES = 64

# A walk from each type to the next in the index, however many events there are of each.
_TYPES = (
    "WITH RECURSIVE kind(name) AS (SELECT min(event_type) FROM warren_events UNION ALL"
    " SELECT (SELECT min(event_type) FROM warren_events WHERE event_type > kind.name) FROM kind"
    " WHERE kind.name IS NOT NULL) SELECT name FROM kind WHERE name IS NOT NULL ORDER BY name"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events are meant; what is None does not matter. Times in seconds since the epoch.

    `types` are types or topic patterns (`order.*`, `order.#`), any of which will do. `in_stream` wants those that belong to
    the stream of an aggregate, or only the others. `since` and `until` are about when
    an event was written to the log. `out_by` leaves out what is delayed beyond this time, and what was cancelled.
    Each of `texts` must stand in the body as it is written there; only the newest `SEARCHED` events are looked at.
    """

    types: Sequence[str] | None = None
    aggregate_type: str | None = None
    aggregate_id: str | None = None
    in_stream: bool | None = None
    correlation_id: str | None = None
    event_ids: Sequence[str] | None = None
    positions: Sequence[int] | None = None
    source: str | None = None
    texts: Sequence[str] = ()
    origin: Origin | None = None
    since: float | None = None
    until: float | None = None
    out_by: float | None = None


def search(
    connection: Connection, wanted: EventFilter, *, limit: int = 100, before: int | None = None, skip: int = 0
) -> list[LoggedEvent]:
    """The newest matching events; `before` continues below the position of the last one seen, `skip` leaves out so many."""
    statement = _matching(connection, wanted, _LISTED).order_by(_events.c.position.desc()).limit(limit).offset(skip)
    if before is not None:
        statement = statement.where(_events.c.position < before)
    return [to_row(row) for row in connection.execute(statement)]


def first(
    connection: Connection, wanted: EventFilter, *, limit: int, after: int | None = None, skip: int = 0
) -> list[LoggedEvent]:
    """The oldest matching events, in order; `after` continues above the position of the last one seen."""
    statement = _matching(connection, wanted, _LISTED).order_by(_events.c.position).limit(limit).offset(skip)
    if after is not None:
        statement = statement.where(_events.c.position > after)
    return [to_row(row) for row in connection.execute(statement)]


def read_on(connection: Connection, wanted: EventFilter, *, after: int, limit: int) -> tuple[list[EventDetail], int]:
    """The matching events above a position, in order, whole; and the position to go on after.

    Nobody who goes on like that ever misses an event, whichever transaction is committed first.
    """
    bound = complete_up_to(connection)
    statement = _matching(connection, wanted, _events.c).where(_events.c.position > after)
    if bound is not None:
        statement = statement.where(_events.c.position <= bound)
    found = [to_detail(row) for row in connection.execute(statement.order_by(_events.c.position).limit(limit))]
    if len(found) == limit:
        return found, found[-1].row.position
    if bound is not None:
        return found, max(after, bound)
    return found, found[-1].row.position if found else after


def positions(
    connection: Connection,
    wanted: EventFilter,
    *,
    after: int = 0,
    before: int | None = None,
    limit: int | None = None,
) -> list[int]:
    """The positions of the matching events above one and below another, in order."""
    statement = _matching(connection, wanted, [_events.c.position]).where(_events.c.position > after)
    if before is not None:
        statement = statement.where(_events.c.position < before)
    return list(connection.scalars(statement.order_by(_events.c.position).limit(limit)))


def count(connection: Connection, wanted: EventFilter, *, after: int | None = None, before: int | None = None) -> int:
    """How many events match; only those above a position, and below another."""
    if wanted == EventFilter() and (after is not None or before is not None):
        # By the index of the types, which is far smaller than the table.
        known = types(connection)
        wanted = replace(wanted, types=known) if len(known) <= _SOME_TYPES else wanted
    statement = _matching(connection, wanted, [func.count()]).select_from(_events)
    if after is not None:
        statement = statement.where(_events.c.position > after)
    if before is not None:
        statement = statement.where(_events.c.position < before)
    return connection.scalar(statement) or 0


def newest(connection: Connection) -> int:
    """The position of the newest event that can be seen; 0 in an empty log."""
    return connection.scalar(select(func.max(_events.c.position))) or 0


def end(connection: Connection) -> int:
    """The position after which one goes on with the next event, and misses none whose transaction is open now."""
    bound = complete_up_to(connection)
    return newest(connection) if bound is None else bound


def types(connection: Connection) -> list[str]:
    """All event types of the log, by name."""
    return list(connection.exec_driver_sql(_TYPES).scalars())


def _matching(connection: Connection, wanted: EventFilter, columns: Any) -> Select[Any]:
    if wanted.types is not None and any("*" in one or "#" in one for one in wanted.types):
        known = [kind for kind in types(connection) if any(topic_matches(pattern, kind) for pattern in wanted.types)]
        wanted = replace(wanted, types=known)
    statement = select(*columns).where(*_conditions(wanted))
    if wanted.texts:
        statement = statement.where(_events.c.position > newest(connection) - SEARCHED)
        statement = statement.where(*(_holds(connection, text) for text in wanted.texts))
    return statement


def _holds(connection: Connection, text: str) -> ColumnElement[bool]:
    """Whether a body has this text, as UTF-8 or as JSON escapes it."""
    place = "instr" if connection.dialect.name == "sqlite" else "position"
    written = dict.fromkeys([text.encode("utf-8", "replace"), json.dumps(text)[1:-1].encode()])
    return or_(*(_place(place, part) > 0 for part in written))


def _place(function: str, part: bytes) -> ColumnElement[int]:
    sought = bindparam(None, part, type_=LargeBinary, unique=True)
    if function == "instr":
        return func.instr(_events.c.body, sought)
    return func.position(sought.op("IN")(_events.c.body))


def _conditions(wanted: EventFilter) -> list[ColumnElement[bool]]:
    column = _events.c
    names = ("aggregate_type", "aggregate_id", "correlation_id", "source")
    equal = {name: getattr(wanted, name) for name in names}
    found: list[ColumnElement[bool]] = [column[name] == value for name, value in equal.items() if value is not None]
    if wanted.types is not None:
        found.append(
            column.event_type == wanted.types[0] if len(wanted.types) == 1 else column.event_type.in_(wanted.types)
        )
    if wanted.event_ids is not None:
        found.append(column.event_id.in_(wanted.event_ids))
    if wanted.positions is not None:
        found.append(within(column.position, wanted.positions))
    if wanted.in_stream is not None:
        found.append(column.version.is_not(None) if wanted.in_stream else column.version.is_(None))
    if wanted.origin is not None:
        found.append(column.origin == wanted.origin.value)
    if wanted.since is not None:
        found.append(column.recorded >= wanted.since)
    if wanted.until is not None:
        found.append(column.recorded < wanted.until)
    if wanted.out_by is not None:
        cancelled = select(_delayed.c.event_id).where(_delayed.c.state == Fate.CANCELLED.value)
        found.append(column.due.is_(None) | ((column.due <= wanted.out_by) & column.event_id.not_in(cancelled)))
    return found
