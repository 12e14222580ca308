"""Reading a version of a stream with its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.streams.lines import Seen

if TYPE_CHECKING:
    from engine.operations.streams import StreamId
    from monitor.source.source import Source


async def look(source: Source, stream: StreamId, version: int) -> Seen | None:
    """The event of a version, and what the aggregate was after it; None where the log has no such version."""
    from engine.operations import streams

    database = source.database()
    found = await streams.history(database, stream, after=version - 1, until=version, masking=source.masking)
    if not found:
        return None
    project = await source.project()
    aggregate = project.aggregate(stream.aggregate_type)
    if isinstance(aggregate, str):
        return Seen(found[0], None, aggregate)
    return Seen(found[0], await streams.state_at(database, aggregate, stream, version, masking=source.masking))
