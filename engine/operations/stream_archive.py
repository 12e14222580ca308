"""Archiving streams: written to a file, whole, and only then taken out of the log."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.operations.durations import parse_duration
from engine.operations.event_files import line
from engine.operations.operator import Operator
from engine.operations.writing import write
from engine.storage import audit, event_log, stream_archive, streams
from engine.storage.database import Database
from engine.storage.event_log import EventDetail
from engine.storage.stream_archive import Candidate

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from engine.model.stream import StreamId

__all__ = ("Candidate", "export", "plan", "remove")

#: Streams that are taken out in one transaction.
GROUP = 50


async def plan(database: Database, stream: str, *, idle: str | None, now: float) -> list[Candidate]:
    """The streams that can be archived: one, `account/a-1`, or all of a type, `account`, that were idle for so long (`365d`).

    Raises `UsageError` for what is no stream, and `ConfigurationError` for what is no duration.
    """
    kind, slash, name = stream.partition("/")
    if not kind or (slash and not name):
        raise UsageError(f"not a stream: {stream!r}", hint="Write type/id, for example account/a-1, or type alone.")
    before = None if idle is None else now - parse_duration(idle)
    return await database.read(
        lambda connection: stream_archive.candidates(connection, kind, name or None, before)
    )  # fmt: skip


async def export(database: Database, found: Sequence[Candidate]) -> AsyncIterator[bytes]:
    """These streams as lines of JSON, as `event_files.export` writes them, secrets and all.

    Raises `UsageError` where events of one are missing: such a stream cannot be taken back.
    """
    for each in found:
        rows = await database.read(partial(_details, each.stream))
        if len(rows) < each.version or each.events != each.version:
            raise UsageError(
                f"the stream {each.stream} has {each.events} events at version {each.version}: some are missing",
                hint="Nothing was archived. Put the missing ones back, or leave this stream out.",
            )
        yield b"".join(line(row) for row in rows[: each.version])


def _details(stream: StreamId, connection: Connection) -> list[EventDetail]:
    positions = [row.position for row in streams.read(connection, stream)]
    return sorted(event_log.get_many(connection, positions), key=lambda detail: detail.row.version or 0)


async def remove(
    database: Database, found: Sequence[Candidate], *, operator: Operator, file: str
) -> list[StreamId]:  # fmt: skip
    """Take streams out of the log that are in the file now; those to which somebody appended meanwhile stay. Raises `ReadOnly`."""
    operator.allow("archive streams")
    gone: list[StreamId] = []
    for start in range(0, len(found), GROUP):
        group = found[start : start + GROUP]
        gone += await write(database, partial(_removed, group, operator.who, file))
    return gone


def _removed(group: Sequence[Candidate], who: str, file: str, connection: Connection) -> list[StreamId]:
    now = time.time()
    gone = stream_archive.remove(connection, group, now=now)
    what = {"file": file, "streams": [str(stream) for stream in gone]}
    audit.append(connection, audit.Entry(now, who, "events archive", "", what, {"archived": len(gone)}))
    return gone
