"""Which streams there are, without reading their events: from each stream to the next in the index."""

# ruff: noqa: S608  # what is put together here are conditions of this file

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from engine.model.stream import StreamId

# Each step of the walk is a look or two into the index: at the next id of the type, else at the next type. A comparison of
# (type, id) as a whole would have SQLite read all events of the type. `l` is the last event of the stream.
_NEXT = (
    "coalesce((SELECT n.position FROM warren_events n WHERE n.version IS NOT NULL {wanted}"
    " AND n.aggregate_type = {kind} AND n.aggregate_id {first} {name}"
    " ORDER BY n.aggregate_id {way}, n.version {way} LIMIT 1),"
    " (SELECT n.position FROM warren_events n WHERE n.version IS NOT NULL {wanted} AND n.aggregate_type {on} {kind}"
    " ORDER BY n.aggregate_type {way}, n.aggregate_id {way}, n.version {way} LIMIT 1))"
)
_FIRST = (
    "(SELECT n.position FROM warren_events n WHERE n.version IS NOT NULL {wanted}"
    " ORDER BY n.aggregate_type {way}, n.aggregate_id {way}, n.version {way} LIMIT 1)"
)
_WALK = """
WITH RECURSIVE walk(place, number) AS (
  SELECT {start}, 1
  UNION ALL
  SELECT {next}, walk.number + 1
  FROM walk JOIN warren_events e ON e.position = walk.place WHERE walk.number < :size
)
"""
# Where the order of texts is a language's, what begins with something has no bounds: each first event is looked at, once.
_SIFT = """
WITH walk(place, number) AS (
  SELECT n.position, row_number() OVER (ORDER BY n.aggregate_type {way}, n.aggregate_id {way})
  FROM warren_events n WHERE n.version = 1 {wanted} {start}
  ORDER BY n.aggregate_type {way}, n.aggregate_id {way} LIMIT :size
)
"""
_FOUND = """
SELECT l.aggregate_type, l.aggregate_id, l.version, l.position, l.event_type, l.recorded
FROM walk JOIN warren_events e ON e.position = walk.place
JOIN warren_events l ON l.position = (
  SELECT s.position FROM warren_events s WHERE s.aggregate_type = e.aggregate_type AND s.aggregate_id = e.aggregate_id
  AND s.version IS NOT NULL ORDER BY s.version DESC LIMIT 1)
WHERE walk.number > :skip ORDER BY walk.number
"""


class Beginning(NamedTuple):
    """Streams by what their type and their id begin with; a type is meant whole where an id is given too."""

    aggregate_type: str = ""
    aggregate_id: str | None = None


class FoundStream(NamedTuple):
    """A stream, and its last event: its version is that of the stream. `recorded` in seconds since the epoch."""

    stream: StreamId
    version: int
    position: int
    event_type: str
    recorded: float


def page(
    connection: Connection,
    wanted: Beginning,
    *,
    place: StreamId | None = None,
    including: bool = True,
    backwards: bool = False,
    skip: int = 0,
    limit: int,
) -> list[FoundStream]:
    """Streams by type and id from a place on, or `backwards` from it, the nearest first; `skip` leaves out so many."""
    condition, given = _condition(connection, wanted)
    on = "<" if backwards else ">"
    words = {"wanted": condition, "on": on, "way": "DESC" if backwards else "ASC"}
    first = f"{on}=" if including else on
    if condition and connection.dialect.name != "sqlite":
        start = "" if place is None else f"AND (n.aggregate_type, n.aggregate_id) {first} (:kind, :name)"
        statement = _SIFT.format(start=start, **words)
    else:
        start = (
            _FIRST.format(**words) if place is None else _NEXT.format(**words, kind=":kind", name=":name", first=first)
        )
        follows = _NEXT.format(**words, kind="e.aggregate_type", name="e.aggregate_id", first=on)
        statement = _WALK.format(start=start, next=follows)
    if place is not None:
        given |= {"kind": place.aggregate_type, "name": place.aggregate_id}
    rows = connection.execute(text(statement + _FOUND), {**given, "size": skip + limit, "skip": skip})
    return [
        FoundStream(StreamId(row.aggregate_type, row.aggregate_id), row.version, row.position, row.event_type, row.recorded)
        for row in rows
    ]  # fmt: skip


def one(connection: Connection, stream: StreamId) -> FoundStream | None:
    """One stream, None where it has no events."""
    found = page(connection, Beginning(), place=stream, limit=1)
    return found[0] if found and found[0].stream == stream else None


def count(connection: Connection, wanted: Beginning, *, before: StreamId | None = None) -> int:
    """How many streams there are; only those before another in the order of `page`. Each has one first event."""
    condition, given = _condition(connection, wanted)
    count = f"SELECT count(*) FROM warren_events n WHERE n.version = 1 {condition}"
    if before is None:
        return connection.scalar(text(count), given) or 0
    given |= {"kind": before.aggregate_type, "name": before.aggregate_id}
    earlier = f"SELECT ({count} AND n.aggregate_type < :kind) + ({count} AND n.aggregate_type = :kind AND n.aggregate_id < :name)"
    return connection.scalar(text(earlier), given) or 0


def _condition(connection: Connection, wanted: Beginning) -> tuple[str, dict[str, Any]]:
    """The condition as SQL with its parameters; on SQLite it bounds the walk, elsewhere texts may be in any order."""
    found: list[str] = []
    given: dict[str, Any] = {}
    kind, name = wanted
    if name is not None:
        found.append("AND n.aggregate_type = :of")
        given["of"] = kind
    for column, beginning in (("aggregate_type", kind if name is None else ""), ("aggregate_id", name or "")):
        if beginning:
            found.append(f"AND substr(n.{column}, 1, :{column}_size) = :{column}_begins")
            given |= {f"{column}_size": len(beginning), f"{column}_begins": beginning}
            if connection.dialect.name == "sqlite":
                found.append(f"AND n.{column} >= :{column}_begins AND n.{column} < :{column}_ends")
                given[f"{column}_ends"] = f"{beginning}\U0010ffff"
    return " ".join(found), given
