"""Housekeeping: one worker of an application forgets for all what ended long ago.

Nothing of it is urgent, so it is done in small groups with pauses between, and no message
waits longer for the writer than for one group.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

from engine.errors import DatabaseError
from engine.model.topology import topic_matches
from engine.runtime import clock
from engine.runtime.leasing import Leases
from engine.storage import event_log, failure_fields, operations, pruning, snapshots, workers
from engine.storage.database import Database
from engine.storage.record_statements import Key

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger("warren.housekeeping")

#: Seconds between two rounds, and until the first.
INTERVAL, FIRST = 3600.0, 60.0
#: Records looked at in one read, and deleted in one transaction.
SLICE, GROUP = 2000, 250
#: Seconds between two groups.
PAUSE = 0.05
#: Seconds for which a worker that stopped or died is shown.
WORKERS_KEPT = 86400.0
#: Seconds for which a schedule is remembered that no worker looks after: its code is gone, or its workers rest.
SCHEDULES_KEPT = 30 * 86400.0
#: Seconds for which a snapshot is kept beside which there is a later one of another schema.
SNAPSHOTS_KEPT = 7 * 86400.0
#: Seconds without progress after which an operation that is still being written down is given up.
ABANDONED = 900.0
DAY = 86400.0


class Housekeeper:
    """Does the rounds while it has the lease. `retention` (of records) and `event_retention` are in days, also by type."""

    def __init__(
        self,
        database: Database,
        worker: str,
        app: str,
        alive: Callable[[str], bool],
        *,
        retention: float,
        event_retention: float = math.inf,
        event_retention_of: Mapping[str, float] | None = None,
    ) -> None:
        self._database = database
        self._app = app
        self._alive = alive
        self._retention = retention * DAY
        self._event_retention = event_retention * DAY
        self._event_retention_of = {kind: days * DAY for kind, days in (event_retention_of or {}).items()}
        self._leases = Leases(database, worker, alive)

    async def run(self) -> None:
        """Do a round every hour until cancelled."""
        await asyncio.sleep(FIRST)
        while True:
            try:
                await self.round()
            except DatabaseError as error:
                logger.warning("housekeeping goes on later: %s", error.message)
            await asyncio.sleep(INTERVAL)

    async def round(self) -> int:
        """Forget what is old, unless another worker sees to it; how many records that were."""
        lease = f"housekeeping:{self._app}"
        if lease not in await self._leases.take([lease]):
            return 0
        now = clock.now()
        forgotten = await self._records(now - self._retention)
        await self._events(now)
        await self._database.write(partial(_forget_snapshots, now - SNAPSHOTS_KEPT))
        await self._workers(now - WORKERS_KEPT)
        await self._schedules(now - SCHEDULES_KEPT)
        await self._database.write(partial(operations.abandon, before=now - ABANDONED, now=now))
        await self._index()
        if forgotten:
            logger.info("housekeeping: %d records were older than %g days", forgotten, self._retention / DAY)
        return forgotten

    async def _records(self, before: float) -> int:
        declared = await self._database.read(partial(workers.list_queues, app=self._app))
        queues = [queue.queue for queue in declared]
        after: Key | None = ("", "")
        forgotten = 0
        while after is not None:
            found = await self._database.read(partial(_look, after, queues, before))
            for start in range(0, len(found.old), GROUP):
                group = found.old[start : start + GROUP]
                forgotten += await self._database.write(partial(_forget, group, before))
                await asyncio.sleep(PAUSE)
            after = found.next
            await asyncio.sleep(PAUSE)
        return forgotten

    async def _events(self, now: float) -> None:
        """What was emitted or journalled long ago; the streams of aggregates stay whole."""
        kept, kept_of = self._event_retention, self._event_retention_of
        before = now - min([kept, *kept_of.values()])

        @cache
        def before_of(kind: str) -> float:
            return now - next((long for pattern, long in kept_of.items() if topic_matches(pattern, kind)), kept)

        after: int | None = 0
        forgotten = 0
        while after is not None:
            found = await self._database.read(partial(_old_events, after, before, before_of))
            for start in range(0, len(found.positions), GROUP):
                forgotten += await self._database.write(
                    partial(_forget_events, found.positions[start : start + GROUP])
                )  # fmt: skip
                await asyncio.sleep(PAUSE)
            after = found.next
            await asyncio.sleep(PAUSE)
        if forgotten:
            logger.info("housekeeping: %d events were older than they are kept", forgotten)

    async def _index(self) -> None:
        """Failures that an older program wrote are found by the fields of their payload from now on."""
        while await self._database.read(failure_fields.missing):
            await self._database.write(partial(failure_fields.catch_up, limit=GROUP))
            await asyncio.sleep(PAUSE)

    async def _schedules(self, before: float) -> None:
        unseen = await self._database.read(partial(_gone_schedules, self._app, before, self._alive))
        if not unseen:
            return
        if await self._database.write(partial(_forget_schedules, unseen, before)):
            logger.info("housekeeping: nobody has looked after the schedules %s for long", ", ".join(unseen))

    async def _workers(self, before: float) -> None:
        while gone := await self._database.read(partial(_gone, self._app, before, self._alive)):
            await self._database.write(partial(_forget_workers, gone))
            await asyncio.sleep(PAUSE)


def _look(after: Key, queues: Sequence[str], before: float, connection: Connection) -> pruning.Slice:
    return pruning.look(connection, after, queues, before, SLICE)


def _forget(group: Sequence[tuple[str, str, str]], before: float, connection: Connection) -> int:
    return pruning.forget(connection, group, before)


def _old_events(
    after: int, before: float, before_of: Callable[[str], float], connection: Connection
) -> event_log.Old:  # fmt: skip
    return event_log.old(connection, after=after, before=before, size=SLICE, before_of=before_of)


def _forget_snapshots(before: float, connection: Connection) -> int:
    return snapshots.forget_outdated(connection, before)


def _forget_events(positions: Sequence[int], connection: Connection) -> int:
    return event_log.forget(connection, positions)


def _gone(app: str, before: float, alive: Callable[[str], bool], connection: Connection) -> list[str]:
    return pruning.gone_workers(connection, app, before, alive, GROUP)


def _forget_workers(gone: Sequence[str], connection: Connection) -> None:
    pruning.forget_workers(connection, gone)


def _gone_schedules(app: str, before: float, alive: Callable[[str], bool], connection: Connection) -> list[str]:
    return pruning.gone_schedules(connection, app, before, alive)


def _forget_schedules(names: Sequence[str], before: float, connection: Connection) -> int:
    return pruning.forget_schedules(connection, names, before)
