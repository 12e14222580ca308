"""Moving whole streams out of the log, once they are in a file. That they were there is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from engine.model.stream import StreamId
from engine.storage import snapshots, streams, tables

_events = tables.events
_archived = tables.archived_streams


class Candidate(NamedTuple):
    """A stream that can be archived: its version, and how many of its events are in the log."""

    stream: StreamId
    version: int
    events: int


def candidates(
    connection: Connection, aggregate_type: str, aggregate_id: str | None, before: float | None
) -> list[Candidate]:
    """The streams of a type, or one of them, to which nothing was appended since a time, in seconds since the epoch.

    That with the newest event of the log is not among them: its position must not be given again. Nor are those that are
    being taken back.
    """
    column = _events.c
    newest = select(func.max(column.position)).scalar_subquery()
    last = func.max(column.recorded)
    statement = (
        select(column.aggregate_id, func.max(column.version).label("version"), func.count().label("events"))
        .where(
            column.aggregate_type == aggregate_type,
            column.version.is_not(None),
            column.aggregate_id.not_in(
                select(_archived.c.aggregate_id).where(_archived.c.aggregate_type == aggregate_type)
            ),
        )
        .group_by(column.aggregate_id)
        .having(func.max(column.position) < newest)
        .order_by(column.aggregate_id)
    )
    if aggregate_id is not None:
        statement = statement.where(column.aggregate_id == aggregate_id)
    if before is not None:
        statement = statement.having(last < before)
    return [
        Candidate(StreamId(aggregate_type, row.aggregate_id), row.version, row.events)
        for row in connection.execute(statement)
    ]


def remove(connection: Connection, found: Sequence[Candidate], *, now: float) -> list[StreamId]:
    """Delete these streams, but those to which somebody has appended meanwhile; which were deleted."""
    names = [each.stream for each in found]
    streams.lock(connection, names)
    now_at = streams.standings(connection, names)
    gone = [each for each in found if now_at[each.stream] == (each.version, None)]
    for stream, version, _ in gone:
        column = _events.c
        connection.execute(
            delete(_events).where(
                column.aggregate_type == stream.aggregate_type,
                column.aggregate_id == stream.aggregate_id,
                column.version.is_not(None),
            )
        )
        snapshots.remove(connection, stream)
        connection.execute(
            insert(_archived).values(
                aggregate_type=stream.aggregate_type,
                aggregate_id=stream.aggregate_id,
                version=version,
                archived=now,
            )
        )
    return [each.stream for each in gone]
