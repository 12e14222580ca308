"""One copy of a projection on this worker: batches from the log, each in one transaction with its checkpoint.

A batch that fails is undone and tried in halves, so that all before the culprit is applied and the projection
stands at that one event: what it is and why it fails is written down, and it is tried again with backoff.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import DatabaseError, DecodingError, HandlerTimeout
from engine.model.event import Event
from engine.model.projection import ProjectionSpec, backoff, version_of
from engine.model.renaming import Renaming
from engine.runtime import clock, points
from engine.runtime.binding import Invoke
from engine.runtime.limited import TimeOutExpired, within
from engine.runtime.projection_calls import read_event
from engine.runtime.running import stopping
from engine.storage import copies, projected_versions, projecting, projections
from engine.storage.database import Database
from engine.storage.event_log import EventDetail
from engine.storage.projections import RUNNING, Checkpoint, Failed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from engine.storage.session import AsyncSession

logger = logging.getLogger("warren.projections")

#: Events that are decoded before others on the event loop get their turn.
DECODED = 64


class Moved(Exception):
    """The checkpoint is not where it was: another worker or an operator moved it."""


class Taken(NamedTuple):
    """An event of the log, and what the projection gets of it."""

    detail: EventDetail
    event: Event[Any]


class Projecting:
    """Consumes the log for one copy. `stands` is where that is, as far as is known here."""

    def __init__(
        self,
        spec: ProjectionSpec,
        invoke: Invoke,
        stands: Checkpoint,
        *,
        database: Database,
        stopped: Callable[[], bool],
    ) -> None:
        self.stands = stands
        #: Up to here the log has nothing for it beyond its checkpoint.
        self.seen = stands.position
        self._spec = spec
        self._invoke = invoke
        self._database = database
        self._stopped = stopped
        self._limit = spec.batch
        self._doubt = 0
        names = copies.names(copies.declared(spec.tables), stands.suffix)
        self._sessions = database.sessions(Renaming(names, spec.name))

    @property
    def name(self) -> str:
        """How logs call it."""
        return f"{self.stands.name}{self.stands.suffix}"

    def due(self, head: int) -> bool:
        """Whether there is something to do, in a log whose newest event is `head`."""
        stands = self.stands
        if stands.state != RUNNING or (stands.failing and stands.retry_at > clock.now()):
            return False
        return head > max(stands.position, self.seen)

    async def run(self) -> None:
        """Take what the log has, until it has no more, or an event fails, or an operator wants it otherwise."""
        try:
            while not self._stopped() and await self._step():
                pass
        except DatabaseError as error:
            logger.warning("projection %s goes on later: %s", self.name, error.message)

    async def _step(self) -> bool:
        """One batch; whether to go on at once."""
        stands = self.stands
        after = max(stands.position, self.seen)
        limit = 1 if stands.failing else self._limit
        read = partial(projecting.read, patterns=self._spec.patterns, after=after, limit=limit)
        found = await self._database.read(read)
        if not found.events:
            self.seen = found.position
            if stands.suffix and found.position > stands.position:  # so that it may take the live one's place
                await self._move(found.position)
            return not found.all
        taken, flaw = await self._decode(found.events)
        if flaw is not None and not taken:
            await self._fail(found.events[0], flaw)
            return False
        try:
            await self._apply(taken)
        except Moved:
            return False
        except asyncio.CancelledError as error:
            if stopping():
                raise
            return await self._undone(taken, error)
        except (Exception, SystemExit) as error:
            trouble = self._database.trouble(error)
            if trouble is not None:
                raise trouble from error
            return await self._undone(taken, error)
        if self.stands.position >= self._doubt:
            self._limit = self._spec.batch
        return True

    async def _decode(self, details: Sequence[EventDetail]) -> tuple[list[Taken], DecodingError | None]:
        """The events up to the first that cannot be read, and why not that one."""
        taken: list[Taken] = []
        for detail in details:
            try:
                taken.append(Taken(detail, read_event(detail, self._invoke)))
            except DecodingError as error:
                return taken, error
            if len(taken) % DECODED == 0:
                await asyncio.sleep(0)
        return taken, None

    async def _apply(self, taken: Sequence[Taken]) -> None:
        """Run the function on these events, and commit what it wrote with the checkpoint."""
        stands, position = self.stands, taken[-1].detail.row.position
        session = self._sessions()
        try:
            row = (await session.execute(projections.locking(stands.name, stands.suffix))).one_or_none()
            if row is None or not _same(projections.to_checkpoint(row), stands):
                raise Moved
            fresh, newest = await self._fresh(session, taken)
            if fresh:
                await self._call([each.event for each in fresh], session)
            points.reach("projected")
            stale = len(taken) - len(fresh)
            now = clock.now()

            def work(connection: Connection) -> None:
                if newest:
                    projected_versions.note(connection, stands.name, stands.suffix, newest)
                if not projections.advance(connection, stands, position, applied=len(fresh), stale=stale, now=now):
                    raise Moved

            await asyncio.shield(asyncio.ensure_future(session.finish(work)))
        finally:
            await session.abandon()
        self._stands_at(position, len(fresh), stale)

    async def _fresh(self, session: AsyncSession, taken: Sequence[Taken]) -> tuple[list[Taken], dict[str, int]]:
        """Those that are not stale, and the newest version of each of their keys."""
        if self._spec.versions is False:
            return list(taken), {}
        judged = [version_of(self._spec, each.event, each.detail.row.version) for each in taken]
        keys = {found[0] for found in judged if found is not None}
        statement = projected_versions.known(self.stands.name, self.stands.suffix, keys)
        known: dict[str, int] = {row.key: row.version for row in await session.execute(statement)} if keys else {}
        fresh: list[Taken] = []
        newest: dict[str, int] = {}
        for each, found in zip(taken, judged, strict=True):
            if found is not None:
                key, version = found
                if version <= newest.get(key, known.get(key, version - 1)):
                    continue
                newest[key] = version
            fresh.append(each)
        return fresh, newest

    async def _call(self, events: Sequence[Event[Any]], session: AsyncSession) -> None:
        timeout = self._spec.handler.timeout
        try:
            await within(timeout, self._called(events, session))
        except TimeOutExpired as error:
            raise HandlerTimeout(f"{self._spec.name} ran longer than {timeout:g} s") from error

    async def _called(self, events: Sequence[Event[Any]], session: AsyncSession) -> None:
        call = self._invoke.call
        if self._invoke.is_batch:
            await call(list(events), None, session)
        else:
            for event in events:
                await call(event, None, session)

    async def _undone(self, taken: Sequence[Taken], error: BaseException) -> bool:
        """Nothing of this batch was written: halve it, or stand at its one event."""
        if len(taken) == 1:
            await self._fail(taken[0].detail, error)
            return False
        self._doubt = max(self._doubt, taken[-1].detail.row.position)
        self._limit = len(taken) // 2
        return True

    async def _fail(self, detail: EventDetail, error: BaseException) -> None:
        stands, row, now = self.stands, detail.row, clock.now()
        attempts = stands.attempts + 1
        failed = Failed(row.position, row.event_id, row.event_type, f"{type(error).__name__}: {error}")
        wait = backoff(attempts)
        write = partial(projections.fail, stands=stands, failed=failed, retry_at=now + wait, now=now)
        if not await self._database.write(write):
            return
        self.stands = stands._replace(failed_position=row.position, attempts=attempts, retry_at=now + wait)
        logger.error(
            "projection %s stands at event %d (%s %s), it is tried again in %g s: %s",
            self.name,
            row.position,
            row.event_type,
            row.event_id,
            wait,
            failed.error,
            exc_info=error if attempts == 1 and not isinstance(error, DecodingError) else None,
        )

    async def _move(self, position: int) -> None:
        """Past events that are none of its."""
        advance = partial(projections.advance, position=position, applied=0, stale=0, now=clock.now())
        stands = self.stands
        if await self._database.write(lambda connection: advance(connection, stands)):
            self._stands_at(position, 0, 0)

    def _stands_at(self, position: int, applied: int, stale: int) -> None:
        stands = self.stands
        if stands.failing:
            logger.info("projection %s goes on past event %d", self.name, position)
        self.stands = stands._replace(
            position=position,
            applied=stands.applied + applied,
            stale=stands.stale + stale,
            failed_position=None,
            attempts=0,
            retry_at=0.0,
        )


def _same(now: Checkpoint, before: Checkpoint) -> bool:
    if now.state != RUNNING:
        return False
    return (now.position, now.version, now.created) == (before.position, before.version, before.created)
