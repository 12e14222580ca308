"""Reading the log for projections: the events of some types, in order, none left out, and what lies ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, literal_column, select, union_all

from engine.model.topology import topic_matches
from engine.storage import event_search, tables
from engine.storage.event_log import EventDetail, to_detail
from engine.storage.positions import complete_up_to

_events = tables.events

#: Types whose indices are walked side by side; with more of them all events are read.
MANY_TYPES = 64
#: Events ahead that are counted; of more it is only known that they are more.
COUNTED = 100_000


class Read(NamedTuple):
    """Events in order, the position that was read up to, and whether the log had no more."""

    events: list[EventDetail]
    position: int
    all: bool


class Ahead(NamedTuple):
    """What a projection has not come to yet: events, at most `COUNTED`, and when the oldest was written."""

    events: int
    oldest: float | None


def read(connection: Connection, patterns: Sequence[str], after: int, limit: int) -> Read:
    """The next events of these types or topic patterns above a position."""
    bound = complete_up_to(connection)
    head = event_search.newest(connection) if bound is None else bound
    kinds = types(connection, patterns)
    chosen = _positions(kinds, after, head, limit).subquery()
    statement = select(_events).where(_events.c.position.in_(select(chosen.c.position))).order_by(_events.c.position)
    if kinds is None:
        statement = _between(select(_events), after, head).order_by(_events.c.position).limit(limit)
    found = [to_detail(row) for row in connection.execute(statement)]
    all_read, position = len(found) < limit, found[-1].row.position if len(found) == limit else max(after, head)
    if kinds is None and "#" not in patterns:
        found = [each for each in found if any(topic_matches(one, each.row.event_type) for one in patterns)]
    return Read(found, position, all_read)


def ahead(connection: Connection, patterns: Sequence[str], after: int, head: int | None = None) -> Ahead:
    """How much of the log is above a position, up to another or to its end."""
    kinds = types(connection, patterns)
    head = event_search.newest(connection) if head is None else head
    chosen = _positions(kinds, after, head, COUNTED).subquery()
    number, first = connection.execute(select(func.count(), func.min(chosen.c.position)).select_from(chosen)).one()
    if not number:
        return Ahead(0, None)
    return Ahead(number, connection.scalar(select(_events.c.recorded).where(_events.c.position == first)))


def types(connection: Connection, patterns: Sequence[str]) -> list[str] | None:
    """The event types of the log that these patterns mean; None: so many that all events are read."""
    if "#" in patterns:
        return None
    if not any("*" in one or "#" in one for one in patterns):
        found = list(dict.fromkeys(patterns))
    else:
        known = event_search.types(connection)
        found = [kind for kind in known if any(topic_matches(pattern, kind) for pattern in patterns)]
    return None if len(found) > MANY_TYPES else found


def _positions(kinds: Sequence[str] | None, after: int, head: int, limit: int) -> Select[Any]:
    """The first positions: each type gives so many from its own index, of which the lowest are taken."""
    column = _events.c
    if kinds is None:
        return _between(select(column.position), after, head).order_by(column.position).limit(limit)
    if not kinds:
        return select(literal_column("0").label("position")).where(literal_column("1 = 0"))
    each = [
        select(
            _between(select(column.position), after, head)
            .where(column.event_type == kind)
            .order_by(column.position)
            .limit(limit)
            .subquery()
        )
        for kind in kinds
    ]
    every = union_all(*each).subquery()
    return select(every.c.position).order_by(every.c.position).limit(limit)


def _between(statement: Select[Any], after: int, head: int) -> Select[Any]:
    return statement.where(_events.c.position > after, _events.c.position <= head)
