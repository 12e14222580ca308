"""Taking events that were exported back into the log, each at its old place in its stream."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from engine.errors import ConcurrencyConflict, EventTaken
from engine.model.stream import StreamId
from engine.storage import event_log, streams, tables
from engine.storage.event_log import Entry

_events = tables.events
_archived = tables.archived_streams


def take_in(connection: Connection, entries: Sequence[Entry], *, now: float) -> int:
    """Append events as they were, those of streams under their versions; how many were new.

    What is there already, at the same place, is left alone. Raises `ConcurrencyConflict` for a version that does not follow
    the last one of its stream, and `EventTaken` for an id that is elsewhere.
    """
    there = {
        row.event_id: (row.aggregate_type, row.aggregate_id, row.version)
        for row in connection.execute(
            select(_events.c.event_id, _events.c.aggregate_type, _events.c.aggregate_id, _events.c.version).where(
                _events.c.event_id.in_([entry.event_id for entry in entries])
            )
        )
    }
    own = list(dict.fromkeys(stream for entry in entries if (stream := stream_of(entry)) is not None))
    streams.lock(connection, own)
    found = streams.standings(connection, own)
    at = {stream: standing.version for stream, standing in found.items()}
    new: list[Entry] = []
    for entry in entries:
        place = (entry.aggregate_type, entry.aggregate_id, entry.version)
        if entry.event_id in there:
            if entry.version is not None and there[entry.event_id] != place:
                raise EventTaken(
                    f"the log has an event with the id {entry.event_id} already, elsewhere",
                    stream=f"{entry.aggregate_type}/{entry.aggregate_id}",
                    hint="Nothing of these lines was imported.",
                )
            continue
        there[entry.event_id] = place
        if entry.version is not None and (stream := stream_of(entry)) is not None:
            if entry.version != at[stream] + 1:
                raise ConcurrencyConflict(str(stream), entry.version - 1, at[stream])
            at[stream] = entry.version
        new.append(entry)
    event_log.append_new(connection, new, now=now)
    for stream, standing in found.items():
        if standing.archived is not None and at[stream] >= standing.archived:  # it is whole again
            connection.execute(
                delete(_archived).where(
                    _archived.c.aggregate_type == stream.aggregate_type, _archived.c.aggregate_id == stream.aggregate_id
                )
            )
    return len(new)


def stream_of(entry: Entry) -> StreamId | None:
    """The stream that an entry belongs to."""
    if entry.version is None or entry.aggregate_type is None or entry.aggregate_id is None:
        return None
    return StreamId(entry.aggregate_type, entry.aggregate_id)
