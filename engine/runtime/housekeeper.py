"""Housekeeping: one worker of an application forgets for all what ended long ago.

Nothing of it is urgent, so it is done in small groups with pauses between, and no message
waits longer for the writer than for one group.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import DatabaseError
from engine.runtime import clock
from engine.runtime.leasing import Leases
from engine.storage import pruning, workers
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
DAY = 86400.0


class Housekeeper:
    """Does the rounds while it has the lease. `retention` is in days."""

    def __init__(
        self,
        database: Database,
        worker: str,
        app: str,
        alive: Callable[[str], bool],
        *,
        retention: float,
    ) -> None:
        self._database = database
        self._app = app
        self._alive = alive
        self._retention = retention * DAY
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
        await self._workers(now - WORKERS_KEPT)
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

    async def _workers(self, before: float) -> None:
        while gone := await self._database.read(partial(_gone, self._app, before, self._alive)):
            await self._database.write(partial(_forget_workers, gone))
            await asyncio.sleep(PAUSE)


def _look(after: Key, queues: Sequence[str], before: float, connection: Connection) -> pruning.Slice:
    return pruning.look(connection, after, queues, before, SLICE)


def _forget(group: Sequence[tuple[str, str, str]], before: float, connection: Connection) -> int:
    return pruning.forget(connection, group, before)


def _gone(app: str, before: float, alive: Callable[[str], bool], connection: Connection) -> list[str]:
    return pruning.gone_workers(connection, app, before, alive, GROUP)


def _forget_workers(gone: Sequence[str], connection: Connection) -> None:
    pruning.forget_workers(connection, gone)
