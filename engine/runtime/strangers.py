"""Consumers of our queues that no worker of this database explains: they remember elsewhere what was handled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from engine.brokers.base import Broker
from engine.errors import BrokerError, DatabaseError
from engine.storage import workers
from engine.storage.database import Database

logger = logging.getLogger("warren.strangers")

#: Seconds between two looks. A worker that was killed may have its consumer for a while yet, so
#: only what is seen twice is said.
LOOK_INTERVAL = 30.0


def crowded(consumers: int, alive: Sequence[workers.Worker], queue: str) -> bool:
    """Whether a queue has more consumers than these living workers explain: each consumes it once."""
    return consumers > sum(queue in worker.info.get("handlers", ()) for worker in alive)


class Strangers:
    """Looks for queues that are consumed against another database, and says so once each."""

    def __init__(
        self, broker: Broker, database: Database, app: str, alive: Callable[[str], bool], queues: Sequence[str]
    ) -> None:
        self._broker = broker
        self._database = database
        self._app = app
        self._alive = alive
        self._queues = queues
        self._seen: set[str] = set()
        self._said: set[str] = set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            try:
                await self.look()
            except (BrokerError, DatabaseError) as error:
                logger.debug("the consumers cannot be counted: %s", error.message)

    async def look(self) -> None:
        """Count once."""
        depths = await self._broker.depths(self._queues)
        known = await self._database.read(workers.list_workers)
        alive = [worker for worker in known if worker.state != "stopped" and self._alive(worker.id)]
        now = {name for name, depth in depths.items() if depth is not None and crowded(depth.consumers, alive, name)}
        for name in sorted(now & self._seen - self._said):
            self._said.add(name)
            logger.warning(
                "%s has more consumers than this database has workers: it is consumed against another database, "
                "and an event may be handled in both. Give all workers of a queue one database.",
                name,
            )
        self._said &= now
        self._seen = now
