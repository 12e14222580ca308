"""Warren in other shapes: embedded, sessions, retries, latency, memory, many queues.

python -m benchmarks.contestants.shapes ACT URL APP FOLDER NUMBER…
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aio_pika
from sqlalchemy import text

from benchmarks import bed
from benchmarks.contestants.stopwatch import Stopwatch, report
from benchmarks.contestants.warren import OrderPlaced
from engine import AsyncSession, Context, Event, RetryPolicy, handler
from engine.brokers.base import Broker
from engine.model.message import Message, Publication
from engine.model.topology import Route, handler_topology
from engine.runtime.worker import Worker
from engine.settings import Settings
from engine.storage.database import Database


def settings(url: str, app: str, folder: str) -> Settings:
    broker = f"embedded://{folder}/broker.db" if url == "embedded" else url
    return Settings.load(start=Path(folder), broker=broker, database=f"sqlite:///{folder}/warren.db", app=app)


@contextlib.asynccontextmanager
async def running(chosen: Settings, *functions: Any) -> AsyncIterator[Worker]:
    """A worker in this process; its queues are deleted afterwards."""
    worker = Worker(chosen, [function.__warren_handler__ for function in functions])
    await worker.start()
    try:
        yield worker
    finally:
        await worker.drain()
        for queue in worker.topology.queues:
            await worker.broker.delete_queue(queue.name)
        await worker.broker.delete_exchange(f"{chosen.app}.dlx")
        await worker.close()


async def send(broker: Broker, queue: str, count: int, start: int = 0) -> None:
    for first in range(start, start + count, 500):
        group = []
        for number in range(first, min(first + 500, start + count)):
            body = bed.body(number)
            group.append(Publication("", queue, Message(body, message_id=json.loads(body)["eventId"])))
        for error in await broker.publish(group):
            if error is not None:
                raise error


async def consume(url: str, app: str, folder: str, count: str) -> None:
    watch = Stopwatch(int(count))

    @handler(OrderPlaced, queue=f"{app}.q")
    async def handle(event: Event[OrderPlaced]) -> None:
        watch.tick()

    async with running(settings(url, app, folder), handle) as worker:
        await send(worker.broker, f"{app}.q", int(count))
        await watch.wait()
        await worker.hand.emptied()
        await worker.acker.flushed()
        watch.stop()
    report(seconds=watch.seconds)


async def sessions(url: str, app: str, folder: str, count: str, database: str = "", lanes: str = "16") -> None:
    """The queue is full before the worker starts: what is timed is handling alone."""
    watch = Stopwatch(int(count))
    chosen = settings(url, app, folder)
    if database:
        chosen = Settings.load(start=Path(folder), broker=url, database=database, app=app)

    @handler(OrderPlaced, queue=f"{app}.q", concurrency=int(lanes))
    async def handle(event: Event[OrderPlaced], session: AsyncSession) -> None:
        await session.execute(text("INSERT INTO effects VALUES (:id)"), {"id": event.data.order_id})
        watch.tick()

    store = await Database.open(chosen.database_url, migrate=True)
    await store.write(lambda connection: connection.exec_driver_sql("CREATE TABLE effects (id TEXT)"))
    await store.close()
    wanted = handler_topology(app, [Route(f"{app}.q", "events", ())])
    arguments = next(dict(one.arguments) for one in wanted.queues if one.name == f"{app}.q")
    await bed.fill(url, f"{app}.q", int(count), arguments)
    async with running(chosen, handle) as worker:
        await watch.wait()
        await worker.hand.emptied()
        watch.stop()
    report(seconds=watch.seconds)


async def rungs(url: str, app: str, folder: str, count: str) -> None:
    """Timed from the first attempt to the last success."""
    watch = Stopwatch(2 * int(count))
    policy = RetryPolicy(max_attempts=3, initial=1.0, jitter=False)

    @handler(OrderPlaced, queue=f"{app}.q", retry=policy, circuit=0)
    async def handle(event: Event[OrderPlaced], ctx: Context) -> None:
        watch.tick()
        if ctx.attempt == 1:
            raise RuntimeError("once")

    async with running(settings(url, app, folder), handle) as worker:
        await send(worker.broker, f"{app}.q", int(count))
        async with asyncio.timeout(300):
            await watch.wait()
            await worker.hand.emptied()
        lost = int(count) - worker.consumers[0].stats.handled
    report(seconds=watch.seconds, lost=lost)


async def latency(url: str, app: str, folder: str, count: str) -> None:
    seen: dict[str, float] = {}

    @handler(OrderPlaced, queue=f"{app}.q")
    async def handle(event: Event[OrderPlaced]) -> None:
        seen[event.id] = time.perf_counter()

    async with running(settings(url, app, folder), handle) as worker:
        sent: dict[str, float] = {}
        begun = time.perf_counter()
        tasks = []
        for number in range(int(count)):
            body = bed.body(number)
            event_id = json.loads(body)["eventId"]
            await asyncio.sleep(max(0.0, begun + number / 300 - time.perf_counter()))
            sent[event_id] = time.perf_counter()
            one = Publication("", f"{app}.q", Message(body, message_id=event_id))
            tasks.append(asyncio.ensure_future(worker.broker.publish([one])))
        await asyncio.gather(*tasks)
        while len(seen) < int(count):
            await asyncio.sleep(0.01)
        report_latency([seen[event_id] - sent[event_id] for event_id in sent])


async def latency_bare(url: str, app: str, folder: str, count: str) -> None:
    queue_name, waits = f"{app}.bare", list[float]()
    connection, publishing = await aio_pika.connect(url), await aio_pika.connect(url)
    async with connection, publishing:
        channel, out = await connection.channel(), await publishing.channel()
        await channel.set_qos(prefetch_count=100)
        queue = await channel.declare_queue(queue_name, durable=True, arguments={"x-queue-type": "quorum"})
        sent: dict[str, float] = {}

        async def receive(message: Any) -> None:
            waits.append(time.perf_counter() - sent[message.message_id])
            await message.ack()

        await queue.consume(receive)
        begun, tasks = time.perf_counter(), []
        for number in range(int(count)):
            body = bed.body(number)
            await asyncio.sleep(max(0.0, begun + number / 300 - time.perf_counter()))
            message = aio_pika.Message(body, message_id=str(number), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            sent[str(number)] = time.perf_counter()
            tasks.append(asyncio.ensure_future(out.default_exchange.publish(message, queue_name)))
        await asyncio.gather(*tasks)
        while len(waits) < int(count):
            await asyncio.sleep(0.01)
    await bed.delete(url, queue_name)
    report_latency(waits)


def report_latency(waits: list[float]) -> None:
    """Without the first second, in which connections and caches are warmed."""
    warm = sorted(waits[300:])
    report(p50=warm[len(warm) // 2], p99=warm[int(len(warm) * 0.99)])


async def memory(url: str, app: str, folder: str, early: str, late: str) -> None:
    handled = 0

    @handler(OrderPlaced, queue=f"{app}.q")
    async def handle(event: Event[OrderPlaced]) -> None:
        nonlocal handled
        handled += 1

    sizes: list[float] = []
    async with running(settings(url, app, folder), handle) as worker:
        sent = 0
        for target in (int(early), int(late)):
            while sent < target:
                await send(worker.broker, f"{app}.q", 5000, sent)
                sent += 5000
                while handled < sent - 10_000:
                    await asyncio.sleep(0.01)
            while handled < target:
                await asyncio.sleep(0.05)
            sizes.append(resident())
    report(growth=sizes[1] - sizes[0], early=sizes[0], late=sizes[1])


def resident() -> float:
    """Resident memory of this process in MiB."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


async def queues(url: str, app: str, folder: str, count: str) -> None:
    functions = []
    for number in range(int(count)):

        @handler(OrderPlaced, queue=f"{app}.q{number}")
        async def handle(event: Event[OrderPlaced]) -> None:
            pass

        functions.append(handle)
    chosen = settings(url, app, folder)
    begun = time.perf_counter()
    worker = Worker(chosen, [function.__warren_handler__ for function in functions])
    await worker.start()
    first = time.perf_counter() - begun
    await worker.drain()
    await worker.close()
    begun = time.perf_counter()
    async with running(chosen, *functions):
        report(seconds=first, again=time.perf_counter() - begun)


async def queues_bare(url: str, app: str, folder: str, count: str) -> None:
    """As many quorum queues as that worker declares, over eight channels."""
    names = [f"{app}.bare{number}" for number in range(2 * int(count))]
    connection = await aio_pika.connect(url)

    async def declare(channel: Any, share: list[str]) -> None:
        for name in share:
            await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})

    async with connection:
        channels = [await connection.channel() for _ in range(8)]
        begun = time.perf_counter()
        await asyncio.gather(*(declare(channel, names[lane::8]) for lane, channel in enumerate(channels)))
        report(seconds=time.perf_counter() - begun)
    await bed.delete(url, *names)


async def sessions_bare(url: str, app: str, folder: str, count: str) -> None:
    """The same two rows a message, each pair committed alone: what the disk allows."""
    connection = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE effects (id TEXT); CREATE TABLE records (id TEXT PRIMARY KEY, state INTEGER)"
    )
    begun = time.perf_counter()
    for number in range(int(count)):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO effects VALUES (?)", (f"o-{number}",))
        connection.execute("INSERT INTO records VALUES (?, 1)", (f"o-{number}",))
        connection.execute("COMMIT")
    report(seconds=time.perf_counter() - begun)


if __name__ == "__main__":
    acts = {
        act.__name__: act
        for act in (consume, sessions, rungs, latency, latency_bare, memory, queues, queues_bare, sessions_bare)
    }
    asyncio.run(acts[sys.argv[1]](*sys.argv[2:]))
