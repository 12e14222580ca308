"""Warren: durable idempotency in SQLite (WAL, synchronous=FULL), a typed payload, the outbox for what it emits."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from decimal import Decimal
from pathlib import Path

from benchmarks import bed
from benchmarks.contestants.stopwatch import Stopwatch, report
from engine import Context, Event, EventData, handler
from engine.model.topology import Route, handler_topology
from engine.runtime.metrics import serve
from engine.runtime.worker import Worker
from engine.settings import Settings

PORT = 19_464
_READER = """
import sys, time, urllib.request
while True:
    urllib.request.urlopen(sys.argv[1]).read()
    time.sleep(1)
"""


class OrderPlaced(EventData, type="bench.order_placed", aggregate="order", key="order_id"):
    order_id: str
    customer: str
    total: Decimal
    quantity: int


class OrderSeen(EventData, type="bench.order_seen", aggregate="order", key="order_id"):
    order_id: str


async def fill(url: str, queue: str, count: int, folder: str) -> None:
    wanted = handler_topology(f"{queue}-app", [Route(queue, "events", ())])
    arguments = next(dict(one.arguments) for one in wanted.queues if one.name == queue)
    await bed.fill(url, queue, count, arguments)


async def consume(url: str, queue: str, count: int, folder: str, *, emits: bool = False, metrics: bool = False) -> None:
    watch = Stopwatch(count)

    if emits:

        @handler(OrderPlaced, queue=queue)
        async def handle(event: Event[OrderPlaced], ctx: Context) -> None:
            ctx.emit(OrderSeen(order_id=event.data.order_id))
            watch.tick()

    else:

        @handler(OrderPlaced, queue=queue)
        async def handle(event: Event[OrderPlaced]) -> None:
            watch.tick()

    settings = Settings.load(
        start=Path(folder), broker=url, database=f"sqlite:///{folder}/warren.db", app=f"{queue}-app"
    )
    worker = Worker(settings, [handle.__warren_handler__])  # type: ignore[attr-defined]
    await worker.start()
    async with scraped(worker) if metrics else nullcontext():
        await watch.wait()
    await worker.hand.emptied()
    await worker.acker.flushed()
    if emits:
        await worker.relay.flushed()
    watch.stop()
    await worker.drain()
    await worker.close()
    report(seconds=watch.seconds)


@asynccontextmanager
async def scraped(worker: Worker) -> AsyncIterator[None]:
    """Metrics are served, and a process of its own reads them every second."""
    stop = serve(worker, PORT)
    reader = await asyncio.create_subprocess_exec(sys.executable, "-c", _READER, f"http://127.0.0.1:{PORT}/metrics")
    try:
        yield
    finally:
        reader.terminate()
        await reader.wait()
        await asyncio.to_thread(stop)


async def metrics(url: str, queue: str, count: int, folder: str) -> None:
    await consume(url, queue, count, folder, metrics=True)


async def emit(url: str, queue: str, count: int, folder: str) -> None:
    await consume(url, queue, count, folder, emits=True)


if __name__ == "__main__":
    acts = {"fill": fill, "consume": consume, "emit": emit, "metrics": metrics}
    asyncio.run(acts[sys.argv[1]](sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]))
