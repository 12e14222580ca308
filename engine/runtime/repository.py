"""Loading aggregates from their streams and saving what they decided.

accounts = engine.repository(Account)
account = await accounts.load("a-1")
account.withdraw(Decimal(5))
await accounts.save(account)                     # raises ConcurrencyConflict
await accounts.update(lambda account: account.withdraw(Decimal(5)), "a-1")   # load, decide, save; again on a conflict
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from engine.errors import ConcurrencyConflict, DatabaseError, StreamMissing, UsageError
from engine.model.aggregate import Aggregate, standing, stream_of
from engine.model.folding import dump_state, fold, restore_state, schema_of
from engine.runtime import clock
from engine.runtime.event_log import CHUNK, EventLog, LogEntry
from engine.runtime.places import Origins
from engine.storage import snapshots, streams
from engine.storage.snapshots import Found, Snapshot
from engine.storage.streams import Append, Stored

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from engine.model.stream import StreamId

A = TypeVar("A", bound=Aggregate)
R = TypeVar("R")

logger = logging.getLogger("warren.repository")

#: How often `update` tries, unless told otherwise.
ATTEMPTS = 10
#: Seconds, at most, that it waits after its first conflict; twice that after each other, up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.25


class Repository(Generic[A]):
    """The aggregates of one class. Made by `Engine.repository`, or given to a handler with a parameter `Repository[Account]`."""

    def __init__(self, aggregate: type[A], log: EventLog) -> None:
        stream_of(aggregate, "-")
        self.aggregate = aggregate
        self.log = log
        self._every = aggregate.__warren_every__
        self._schema = schema_of(aggregate)

    async def load(self, id: str, *, version: int | None = None, as_of: datetime | None = None) -> A:
        """The aggregate as it is, as it was at a version, or as it was at a time.

        Raises `StreamMissing` where there are no events (yet), `UnknownEvent`, `ApplierFailed` and `HistoryError` for a
        stream that it cannot be built from, and `UsageError` for a version it does not have and a time without a zone.
        """
        found = await self.find(id, version=version, as_of=as_of)
        if found is None:
            stream = stream_of(self.aggregate, id)
            when = "" if as_of is None else f" up to {as_of.isoformat()}"
            raise StreamMissing(
                f"the stream {stream} has no events{when}",
                stream=str(stream),
                hint=f"`find` gives None in such a case, {self.aggregate.__name__}.new(id) makes one without events.",
            )
        return found

    async def find(self, id: str, *, version: int | None = None, as_of: datetime | None = None) -> A | None:
        """As `load`, but None where there are no events."""
        stream = stream_of(self.aggregate, id)
        if version is not None and version < 1:
            raise UsageError(f"version={version} of {stream}: versions count from 1")
        if as_of is not None and as_of.tzinfo is None:
            raise UsageError(f"as_of={as_of.isoformat()} has no time zone", hint="Give it one: tzinfo=UTC.")
        made, folded, misfit = await self._built(stream, version, as_of)
        if made.version == 0 and version is None:
            return None
        if version is not None and made.version < version:
            then = "it is" if as_of is None else f"at {as_of.isoformat()} it was"
            raise UsageError(f"{stream} has no version {version}: {then} at {made.version}")
        due = misfit or (self._every is not None and folded >= self._every and as_of is None)
        if due and self.log.place.alone:
            await self._rebuilt(made, anew=misfit)
        return made

    async def save(
        self,
        *aggregates: Aggregate,
        correlation_id: str | None = None,
        causation_id: str | None = None,
    ) -> None:
        """Append what these aggregates emitted, all in one transaction, which promises to publish it too.

        They may be of other classes. Raises `ConcurrencyConflict` where one was appended to since it was
        loaded: then nothing was written, and what was emitted is void; load again. Raises otherwise as `EventLog.append`.
        """
        changed = [each for each in aggregates if standing(each).pending]
        origins = Origins(correlation_id, causation_id)
        appends = [self._append(each, origins) for each in changed]
        if not appends:
            return
        taken = [_due_snapshot(each, append) for each, append in zip(changed, appends, strict=True)]
        await self.log.place.append(appends, [each for each in taken if each is not None], publish=True)
        for each, snapshot in zip(changed, taken, strict=True):
            own = standing(each)
            own.version += len(own.pending)
            own.pending.clear()
            own.snapshot = own.snapshot if snapshot is None else own.version

    @overload
    async def update(self, command: Callable[[A], R], id: str, /, *, attempts: int = ATTEMPTS) -> R: ...
    @overload
    async def update(
        self, command: Callable[[A, A], R], first: str, second: str, /, *, attempts: int = ATTEMPTS
    ) -> R: ...
    @overload
    async def update(
        self, command: Callable[..., R], first: str, second: str, third: str, /, *more: str, attempts: int = ATTEMPTS
    ) -> R: ...
    async def update(self, command: Callable[..., R], /, *ids: str, attempts: int = ATTEMPTS) -> R:
        """Load the aggregates of these ids, have the command decide, save them together; what the command returned.

        On a `ConcurrencyConflict` all of it is done again, up to `attempts` times; so the command must do nothing but change
        the aggregates. What it raises comes through, and nothing is written. Raises as `load` and `save` do.
        """
        if len(set(ids)) != len(ids):
            raise UsageError(f"update names {', '.join(ids)}: one aggregate twice", hint="Name each once.")
        for attempt in range(1, attempts + 1):
            loaded = [await self.load(each) for each in ids]
            result = command(*loaded)
            try:
                await self.save(*loaded)
            except ConcurrencyConflict:
                if attempt >= attempts:
                    raise
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1))
                await asyncio.sleep(pause * random.random())
            else:
                return result
        raise UsageError(f"attempts={attempts} is not a number from 1")

    async def snapshot(self, aggregate: A) -> None:
        """Keep the state of an aggregate as it was loaded or saved, so that the next load begins there.

        Raises `UsageError` for one without events, or with events that are not saved.
        """
        stream = stream_of(self.aggregate, aggregate.id)
        if aggregate.version == 0 or aggregate.pending:
            raise UsageError(f"{stream} has events that are not saved, or none", hint="Save it first.")
        last = aggregate.version
        found = await self._rows(stream, last - 1, last)
        if not found:
            raise UsageError(f"the stream {stream} has no version {last}")
        await self._keep(aggregate, found[0], anew=False)

    def history(self, id: str, *, after: int = 0) -> AsyncIterator[LogEntry[dict[str, Any]]]:
        """The events of an aggregate above a version, in order."""
        return self.log.read(stream_of(self.aggregate, id), after=after)

    # --- within -----------------------------------------------------------------------------

    def _append(self, aggregate: Aggregate, origins: Origins) -> Append:
        stream = stream_of(type(aggregate), aggregate.id)
        events = []
        for each in standing(aggregate).pending:
            event = self.log.place.compose(each.data, origins._replace(metadata=each.metadata))
            if event.aggregate_id is not None and (event.aggregate_type, event.aggregate_id) != stream:
                raise UsageError(
                    f"{stream} emitted {event.type}, which is about {event.aggregate_type}/{event.aggregate_id}"
                )
            events.append(event)
        return Append(stream, aggregate.version, events)

    async def _built(self, stream: StreamId, version: int | None, as_of: datetime | None) -> tuple[A, int, bool]:
        """The aggregate, how many events were applied to it, and whether there is a snapshot that does not fit."""
        misfit = False
        if as_of is None:
            found, archived, rows = await self.log.place.read(partial(_first_look, stream, self._schema, version))
            if archived is not None:
                await self._refuse_archived(stream)
            made = self._restored(stream, found, rows)
            if made is not None:
                rest = rows[1:]
            else:
                misfit = found is not None
                made = self.aggregate.new(stream.aggregate_id)
                rest = await self._rows(stream, 0, version) if misfit else rows
        else:
            await self._refuse_archived(stream)
            made, rest = self.aggregate.new(stream.aggregate_id), await self._rows(stream, 0, version)
        folded = 0
        while True:
            ended = len(rest) < CHUNK - 1
            if as_of is not None:
                until = as_of.timestamp()
                later = next((index for index, row in enumerate(rest) if row.time > until), None)
                rest, ended = (rest, ended) if later is None else (rest[:later], True)
            folded += fold(made, rest)
            if ended:
                return made, folded, misfit
            rest = await self._rows(stream, made.version, version)

    def _restored(self, stream: StreamId, found: Found | None, rows: Sequence[Stored]) -> A | None:
        """What the snapshot holds, where it fits the stream and the class."""
        if found is None:
            return None
        made = None
        if rows and rows[0].version == found.version and rows[0].event_id == found.event_id:
            made = restore_state(self.aggregate, stream.aggregate_id, found.version, found.state)
        if made is None:
            logger.warning("the snapshot of %s at version %d does not fit and is built anew", stream, found.version)
        return made

    async def _rows(self, stream: StreamId, after: int, until: int | None) -> list[Stored]:
        return await self.log.place.read(
            lambda connection: streams.read(connection, stream, after=after, until=until, limit=CHUNK)
        )

    async def _refuse_archived(self, stream: StreamId) -> None:
        stands = await self.log.place.read(lambda connection: streams.standing(connection, stream))
        if stands.archived is not None:
            raise streams.gone(stream, stands.archived, stands.version)

    async def _rebuilt(self, aggregate: A, *, anew: bool) -> None:
        """A snapshot is due, or does not fit. That none can be written harms nobody."""
        try:
            rows = await self._rows(stream_of(self.aggregate, aggregate.id), aggregate.version - 1, aggregate.version)
            if rows:
                await self._keep(aggregate, rows[0], anew=anew)
        except DatabaseError as error:
            logger.warning("no snapshot of %s was written: %s", aggregate.id, error.message)

    async def _keep(self, aggregate: A, last: Stored, *, anew: bool) -> None:
        await self.log.place.keep(_snapshot(aggregate, last.version, last.event_id, clock.now()), anew=anew)
        standing(aggregate).snapshot = last.version


def _first_look(
    stream: StreamId, schema: str, version: int | None, connection: Connection
) -> tuple[Found | None, int | None, list[Stored]]:
    """The snapshot, whether the stream was archived, and the events from the snapshot's last on; without one from the first."""
    found, archived = snapshots.find(connection, stream, schema)
    if found is not None and version is not None and found.version > version:
        found = None
    after = 0 if found is None else found.version - 1
    return found, archived, streams.read(connection, stream, after=after, until=version, limit=CHUNK)


def _due_snapshot(aggregate: Aggregate, append: Append) -> Snapshot | None:
    """What is to be kept with this append, where so many events have come since the last one kept."""
    own, every = standing(aggregate), aggregate.__warren_every__
    version = own.version + len(own.pending)
    if every is None or version - own.snapshot < every:
        return None
    return _snapshot(aggregate, version, append.events[-1].id, clock.now())


def _snapshot(aggregate: Aggregate, version: int, event_id: str, now: float) -> Snapshot:
    cls = type(aggregate)
    return Snapshot(stream_of(cls, aggregate.id), schema_of(cls), version, event_id, dump_state(aggregate), now)
