"""Redrives by a worker that handles nothing itself: at full rate, at a set rate, and cancelled.

python -m benchmarks.contestants.redriving full|held|cancel URL APP FOLDER NUMBER…
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from benchmarks import bed
from benchmarks.contestants.shapes import running, settings
from benchmarks.contestants.stopwatch import report
from engine.model.operation import Operation, Options
from engine.model.topology import Route, handler_topology
from engine.operations import redrive, steering
from engine.operations.operator import Operator
from engine.operations.progress import one
from engine.runtime.worker import Worker
from engine.storage.failure_search import Filter
from tests.support.failing import bury_many

BY = Operator("bench")


class Bed(NamedTuple):
    """A worker, and the failures of a queue that nobody consumes."""

    worker: Worker
    queue: str

    async def order(self, options: Options) -> Operation:
        """Redrive all of them."""
        database, app = self.worker.database, self.worker.settings.app
        plan = await redrive.plan(database, self.worker.broker, Filter(queue=self.queue))
        return await redrive.start(database, plan, app=app, operator=BY, why="", options=options)

    async def sent(self, operation: Operation, count: int) -> None:
        """Wait until so many are sent and confirmed."""
        while (await one(self.worker.database, operation.id)).sent < count:
            await asyncio.sleep(0.01)
        await self.worker.relay.flushed()

    async def ready(self) -> int:
        """How many messages are in the queue, by the broker."""
        depth = (await self.worker.broker.depths([self.queue]))[self.queue]
        return 0 if depth is None else depth.ready


@contextlib.asynccontextmanager
async def made(url: str, app: str, folder: str, count: int) -> AsyncIterator[Bed]:
    queue = f"{app}.q"
    async with running(settings(url, app, folder)) as worker:
        await worker.broker.declare(handler_topology(app, [Route(queue, f"{app}.events", ["bench.#"])]))
        await bury_many(worker.database, count, queue=queue, body=bed.body)
        try:
            yield Bed(worker, queue)
        finally:
            await worker.relay.flushed()
            await worker.broker.delete_queue(queue)
            await worker.broker.delete_queue(f"{queue}.dlq")
            await worker.broker.delete_exchange(f"{app}.events")


async def full(url: str, app: str, folder: str, count: str) -> None:
    async with made(url, app, folder, int(count)) as found:
        begun = time.perf_counter()
        operation = await found.order(Options())
        ordered = time.perf_counter()
        await found.sent(operation, int(count))
        ended = time.perf_counter()
        report(seconds=ended - ordered, ordering=ordered - begun, landed=await found.ready())


async def held(url: str, app: str, folder: str, count: str, rate: str) -> None:
    """From the first to the last message, as the broker has them."""
    async with made(url, app, folder, int(count)) as found:
        operation = await found.order(Options(rate=float(rate)))
        await found.sent(operation, 1)
        first, begun = (await one(found.worker.database, operation.id)).sent, time.perf_counter()
        await found.sent(operation, int(count))
        report(rate=(int(count) - first) / (time.perf_counter() - begun))


async def cancel(url: str, app: str, folder: str, count: str) -> None:
    async with made(url, app, folder, int(count)) as found:
        operation = await found.order(Options())
        await found.sent(operation, int(count) // 10)
        begun = time.perf_counter()
        cancelled = await steering.cancel(found.worker.database, operation.id, operator=BY)
        await found.worker.relay.flushed()
        seconds = time.perf_counter() - begun
        await asyncio.sleep(1.0)
        later = await one(found.worker.database, operation.id)
        report(seconds=seconds, sent=cancelled.sent, later=later.sent - cancelled.sent, landed=await found.ready())


if __name__ == "__main__":
    act = {"full": full, "held": held, "cancel": cancel}[sys.argv[1]]
    asyncio.run(act(*sys.argv[2:]))
