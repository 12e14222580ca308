"""The executor: performs recorded operations, each by one worker of the fleet, under a lease.

A worker that ends gives its operations back; those of one that is dead are taken over.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

from engine.brokers.base import Broker
from engine.errors import DatabaseError
from engine.model.operation import Operation
from engine.runtime import clock
from engine.runtime.kinds import KINDS, performance_of
from engine.runtime.leasing import Leases
from engine.runtime.performing import WATCHED, Performance, lease_name, release
from engine.runtime.relay import Relay
from engine.storage import operations
from engine.storage.database import Database

logger = logging.getLogger("warren.operations")

#: Seconds between two looks for operations that nobody performs.
LOOK = 0.5
#: Seconds after which an operation that failed here is tried again.
BACKOFF = 5.0


class Executor:
    """Performs the operations of one application that this worker has the lease of, until it is stopped."""

    def __init__(
        self,
        *,
        app: str,
        worker: str,
        database: Database,
        broker: Broker,
        relay: Relay,
        alive: Callable[[str], bool],
    ) -> None:
        self._app = app
        self._worker = worker
        self._database = database
        self._broker = broker
        self._relay = relay
        self._leases = Leases(database, worker, alive)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._performances: dict[str, Performance] = {}
        self._not_before: dict[str, float] = {}
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Look for operations and perform them until stopped."""
        try:
            while not self._stopped.is_set():
                try:
                    await self.look()
                except DatabaseError as error:
                    logger.debug("the operations cannot be read: %s", error.message)
                try:
                    await asyncio.wait_for(self._stopped.wait(), LOOK)
                except TimeoutError:
                    continue
            await self._ended()
        except asyncio.CancelledError:
            for task in self._tasks.values():
                task.cancel()
            await self._ended()
            raise

    async def look(self) -> None:
        """Take on the operations that no living worker performs."""
        since = clock.now() - WATCHED
        found = await self._database.read(partial(operations.active, app=self._app, since=since))
        for operation in found:
            if operation.id in self._tasks or operation.kind not in KINDS:
                continue
            if time.monotonic() < self._not_before.get(operation.id, 0.0):
                continue
            token = await self._leases.token(lease_name(operation.id))
            if self._stopped.is_set():
                await self._leases.give_back(lease_name(operation.id))
            elif token is not None:
                task = asyncio.create_task(self._perform(operation, token), name=f"operation {operation.id}")
                self._tasks[operation.id] = task

    async def stop(self) -> None:
        """Finish the groups at hand and leave the operations to the other workers."""
        self._stopped.set()
        for performance in self._performances.values():
            performance.stop()
        await self._ended()

    async def _ended(self) -> None:
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _perform(self, operation: Operation, token: int) -> None:
        performance = performance_of(operation.kind)(
            operation.id,
            KINDS[operation.kind],
            database=self._database,
            broker=self._broker,
            relay=self._relay,
            owner=self._worker,
            token=token,
        )
        self._performances[operation.id] = performance
        logger.info("%s %s is performed here: %d messages wait", operation.kind, operation.id, operation.waiting)
        try:
            await performance.run()
        except DatabaseError as error:
            logger.warning("operation %s goes on later: %s", operation.id, error.message)
            self._not_before[operation.id] = time.monotonic() + BACKOFF
        except Exception:
            logger.exception("operation %s failed here, it is tried again", operation.id)
            self._not_before[operation.id] = time.monotonic() + BACKOFF
        else:
            self._not_before.pop(operation.id, None)
        finally:
            del self._performances[operation.id]
        try:
            await self._database.write(partial(release, operation=operation.id, owner=self._worker))
        finally:
            del self._tasks[operation.id]
