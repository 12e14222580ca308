"""Streams as an operator sees them: which there are, their history, and what an aggregate was at any version."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import UsageError, WarrenError
from engine.model import json_text
from engine.model.aggregate import Aggregate
from engine.model.difference import Change, difference
from engine.model.folding import dump_state, fold, restore_state, schema_of
from engine.model.stream import StreamId
from engine.operations.masking import Masking
from engine.storage import event_log, snapshots, stream_search, streams
from engine.storage.database import Database
from engine.storage.event_log import EventDetail
from engine.storage.stream_search import Beginning, FoundStream

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from engine.storage.streams import Stored

__all__ = (
    "FOLDED",
    "Beginning",
    "FoundStream",
    "State",
    "StreamId",
    "beginning",
    "count",
    "find",
    "history",
    "page",
    "state_at",
)

#: Events that are folded for one look at a state, beyond its snapshot.
FOLDED = 20_000
#: Events that are read at a time.
CHUNK = 1_000


class State(NamedTuple):
    """What an aggregate was at a version of its stream, as JSON, and which fields the last event changed; secrets are hidden.

    `problem` says why it is not the state at the version that was asked for, or why there is none.
    """

    version: int
    state: bytes | None
    changes: tuple[Change, ...] = ()
    problem: str = ""


def beginning(text: str) -> Beginning:
    """What is typed to find streams: the beginning of a type, `acc`, or a type and the beginning of an id, `account/a-`."""
    kind, slash, name = text.strip().partition("/")
    return Beginning(kind, name if slash else None)


async def page(
    database: Database,
    wanted: Beginning,
    *,
    place: StreamId | None = None,
    backwards: bool = False,
    skip: int = 0,
    limit: int,
) -> list[FoundStream]:
    """Streams by type and id: from `place` on, or `backwards` those before it, the nearest first."""
    return await database.read(
        partial(
            stream_search.page,
            wanted=wanted, place=place, including=not backwards, backwards=backwards, skip=skip, limit=limit,
        )
    )  # fmt: skip


async def find(database: Database, stream: StreamId) -> FoundStream | None:
    """One stream, None where it has no events."""
    return await database.read(lambda connection: stream_search.one(connection, stream))


async def count(database: Database, wanted: Beginning, *, before: StreamId | None = None) -> int:
    """How many streams there are; only those that stand before another."""
    return await database.read(lambda connection: stream_search.count(connection, wanted, before=before))


async def history(
    database: Database, stream: StreamId, *, after: int = 0, until: int | None = None, masking: Masking
) -> list[EventDetail]:
    """The events of a stream above a version, up to another with it, whole, in order, their secrets hidden."""
    from engine.operations.events import masked

    def work(connection: Connection) -> list[EventDetail]:
        rows = streams.read(connection, stream, after=after, until=until)
        found = event_log.get_many(connection, [row.position for row in rows])
        return sorted(found, key=lambda detail: detail.row.version or 0)

    return [masked(detail, masking) for detail in await database.read(work)]


async def state_at(
    database: Database, aggregate: type[Aggregate], stream: StreamId, version: int, *, masking: Masking
) -> State:
    """Fold a stream up to a version, from its snapshot on where that is not beyond it.

    Nothing is written. What the class cannot read or apply is a `problem`, and the state is that before it. Raises
    `UsageError` for a stream of another type than the class's, and for a version below 1.
    """
    if aggregate.__warren_aggregate__ != stream.aggregate_type:
        raise UsageError(f"{aggregate.__name__} is not the class of {stream}")
    if version < 1:
        raise UsageError(f"{stream} has no version {version}: versions count from 1")
    begun = await database.read(partial(_begin, aggregate, stream, version - 1))
    return await asyncio.to_thread(
        _folded, begun, await _rows(database, stream, begun.version, version), version, masking
    )


def _begin(aggregate: type[Aggregate], stream: StreamId, latest: int, connection: Connection) -> Aggregate:
    """The aggregate at its snapshot, if there is one that fits and is not too late, else before its first event."""
    found, _ = snapshots.find(connection, stream, schema_of(aggregate))
    if found is not None and found.version <= latest:
        rows = streams.read(connection, stream, after=found.version - 1, until=found.version)
        if rows and rows[0].event_id == found.event_id:
            made = restore_state(aggregate, stream.aggregate_id, found.version, found.state)
            if made is not None:
                return made
    return aggregate.new(stream.aggregate_id)


async def _rows(database: Database, stream: StreamId, after: int, until: int) -> list[Stored]:
    found: list[Stored] = []
    while len(found) <= FOLDED:
        start = found[-1].version if found else after
        chunk = await database.read(
            lambda connection, start=start: streams.read(connection, stream, after=start, until=until, limit=CHUNK)  # type: ignore[misc]
        )
        found += chunk
        if len(chunk) < CHUNK:
            break
    return found


def _folded(made: Aggregate, rows: Sequence[Stored], version: int, masking: Masking) -> State:
    if len(rows) > FOLDED:
        return State(made.version, None, problem=f"more than {FOLDED:,} events would have to be folded for it")
    before: bytes | None = None
    try:
        fold(made, rows[:-1])
        before = dump_state(made)
        fold(made, rows[-1:])
        after = dump_state(made)
    except WarrenError as error:
        # An applier that raised may have changed something already, so what it left is not shown.
        reached = made.version if before is not None else getattr(error, "version", 1) - 1
        return State(reached, None if before is None else masking.body(before), problem=error.message)
    problem = "" if made.version >= version else f"the stream has no version {version}: it is at {made.version}"
    changes = difference(json_text.parse(before), json_text.parse(after))
    return State(made.version, masking.body(after), tuple(masking.change(each) for each in changes), problem)
