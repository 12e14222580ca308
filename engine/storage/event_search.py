"""Finding events in the log: filters, pages by position, and reading on without skipping any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Select, func, select
from sqlalchemy.sql import ColumnElement

from engine.model.topology import topic_matches
from engine.storage import tables
from engine.storage.delayed import Fate
from engine.storage.event_log import EventDetail, LoggedEvent, Origin, to_detail, to_row
from engine.storage.positions import complete_up_to

_events = tables.events
_delayed = tables.delayed
_LISTED = [_events.c[name] for name in LoggedEvent._fields]

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
    """

    types: Sequence[str] | None = None
    aggregate_type: str | None = None
    aggregate_id: str | None = None
    in_stream: bool | None = None
    correlation_id: str | None = None
    event_ids: Sequence[str] | None = None
    origin: Origin | None = None
    since: float | None = None
    until: float | None = None
    out_by: float | None = None


def search(
    connection: Connection, wanted: EventFilter, *, limit: int = 100, before: int | None = None
) -> list[LoggedEvent]:
    """The newest matching events; `before` continues below the position of the last one seen."""
    statement = _matching(connection, wanted, _LISTED).order_by(_events.c.position.desc()).limit(limit)
    if before is not None:
        statement = statement.where(_events.c.position < before)
    return [to_row(row) for row in connection.execute(statement)]


def first(connection: Connection, wanted: EventFilter, *, limit: int) -> list[LoggedEvent]:
    """The oldest matching events, in order."""
    statement = _matching(connection, wanted, _LISTED).order_by(_events.c.position).limit(limit)
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


def positions(connection: Connection, wanted: EventFilter, *, after: int = 0, limit: int | None = None) -> list[int]:
    """The positions of the matching events above one, in order."""
    statement = _matching(connection, wanted, [_events.c.position]).where(_events.c.position > after)
    return list(connection.scalars(statement.order_by(_events.c.position).limit(limit)))


def count(connection: Connection, wanted: EventFilter) -> int:
    """How many events match."""
    return connection.scalar(_matching(connection, wanted, [func.count()]).select_from(_events)) or 0


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
    return select(*columns).where(*_conditions(wanted))


def _conditions(wanted: EventFilter) -> list[ColumnElement[bool]]:
    column = _events.c
    equal = {name: getattr(wanted, name) for name in ("aggregate_type", "aggregate_id", "correlation_id")}
    found: list[ColumnElement[bool]] = [column[name] == value for name, value in equal.items() if value is not None]
    if wanted.types is not None:
        found.append(
            column.event_type == wanted.types[0] if len(wanted.types) == 1 else column.event_type.in_(wanted.types)
        )
    if wanted.event_ids is not None:
        found.append(column.event_id.in_(wanted.event_ids))
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
