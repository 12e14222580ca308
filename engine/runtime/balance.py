"""Partitions shared out among the workers of a handler: each is to have as many as the others.

A queue with a single active consumer stays with who came first. So that those who come later get their part, a worker that
receives from a partition that is to be another's subscribes anew, once for each change of the fleet and now and then: then
the next in line has it. It may have to pass it on in turn. Nobody depends on it: whoever has a partition keeps its order.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from engine.errors import BrokerError, DatabaseError
from engine.model.partition import share
from engine.runtime.partitions import Partitions
from engine.storage import workers
from engine.storage.database import Database

logger = logging.getLogger("warren.balance")

#: Seconds between two looks at who is there. A worker says that it is there shortly before it consumes, so what
#: one look finds is acted on at the next.
LOOK_INTERVAL = 1.0
#: Seconds until a partition is passed on once more: the other had it, and lost the broker for a while.
ONCE_MORE = 30.0


class Balance:
    """Passes on what is to be another's, of all handlers with partitions in this worker."""

    def __init__(self, database: Database, worker: str, alive: Callable[[str], bool]) -> None:
        self._database = database
        self._worker = worker
        self._alive = alive
        self._partitions: list[tuple[str, Partitions]] = []
        self._fleets: dict[str, tuple[str, ...]] = {}
        #: By queue and partition, when it was passed on.
        self._passed: dict[str, dict[str, float]] = {}

    def add(self, queue: str, partitions: Partitions) -> None:
        """Share out the partitions of this queue."""
        self._partitions.append((queue, partitions))

    async def run(self) -> None:
        """Look until cancelled."""
        while self._partitions:
            await asyncio.sleep(LOOK_INTERVAL)
            try:
                await self.look()
            except (BrokerError, DatabaseError) as error:
                logger.debug("the partitions cannot be shared out: %s", error.message)

    async def look(self) -> None:
        """Look once."""
        known = await self._database.read(workers.list_workers)
        there = [worker for worker in known if worker.state == "running" and self._alive(worker.id)]
        for queue, partitions in self._partitions:
            fleet = tuple(worker.id for worker in there if queue in worker.info.get("partitions", ()))
            if fleet == self._fleets.get(queue):
                await self._pass_on(queue, partitions, fleet)
            else:
                self._fleets[queue], self._passed[queue] = fleet, {}
                partitions.received.clear()

    async def _pass_on(self, queue: str, partitions: Partitions, fleet: Sequence[str]) -> None:
        own = {partitions.names[number] for number in share(len(partitions.names), fleet, self._worker)}
        if not own:
            return
        passed, now = self._passed[queue], time.monotonic()
        others = {name for name in partitions.received - own if now - passed.get(name, -ONCE_MORE) >= ONCE_MORE}
        if others:
            passed.update(dict.fromkeys(others, now))
            partitions.received -= others
            logger.info("%s: %d partitions are passed on to other workers", queue, len(others))
            await partitions.renew(sorted(others))
