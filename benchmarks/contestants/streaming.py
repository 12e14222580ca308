"""A stream of the broker: read raw, read through the port, and replayed by a worker to a handler that does nothing.

python -m benchmarks.contestants.streaming raw|read|replay URL APP FOLDER COUNT
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator

import aio_pika

from benchmarks import bed
from benchmarks.contestants.shapes import running, settings
from benchmarks.contestants.stopwatch import report
from engine import Event, EventData, handler
from engine.brokers import open_broker
from engine.brokers.base import Broker
from engine.model.codec import Limits
from engine.model.message import Message, Publication
from engine.model.operation import Options
from engine.model.topology import journal_topology, stream_name
from engine.operations import stream_replay
from engine.operations.events import EventFilter
from engine.operations.masking import masking_for
from engine.operations.operator import Operator
from engine.operations.progress import one
from engine.operations.replay import Target
from engine.operations.stream_events import Source
from engine.runtime.stream_log import read_event, scan
from engine.settings import Kept

#: Entries that may be out in the raw loop, as through the port.
PREFETCH = 250


class OrderPlaced(EventData, type="bench.order_placed", aggregate="order", key="order_id"):
    order_id: str
    customer: str
    total: str
    quantity: int


@contextlib.asynccontextmanager
async def filled(url: str, app: str, folder: str, count: int) -> AsyncIterator[Broker]:
    """A broker whose stream has so many events; deleted in the end."""
    chosen = settings(url, app, folder)
    broker = open_broker(chosen.broker_url, app=app)
    await broker.connect()
    stream, exchange = stream_name(app), f"{app}.events"
    await broker.declare(journal_topology(app, exchange, ["#"], Kept(30, 10_000_000_000)))
    try:
        for first in range(0, count, 1000):
            group = [Message(bed.body(number)) for number in range(first, min(first + 1000, count))]
            answers = await broker.publish([Publication(exchange, "bench.order_placed", each) for each in group])
            assert set(answers) == {None}
        yield broker
    finally:
        await broker.delete_queue(stream)
        await broker.delete_exchange(exchange)
        await broker.close()


async def raw(url: str, app: str, folder: str, count: str) -> None:
    """A bare loop of aio-pika: consume from the first offset on, ack every message in groups."""
    async with filled(url, app, folder, int(count)), await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(PREFETCH)
        queue = await channel.get_queue(stream_name(app), ensure=False)
        done, seen = asyncio.Event(), 0

        async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            nonlocal seen
            seen += 1
            if seen % (PREFETCH // 2) == 0:
                await message.ack(multiple=True)
            if seen == int(count):
                done.set()

        begun = time.perf_counter()
        await queue.consume(take, arguments={"x-stream-offset": "first"})
        await done.wait()
        report(seconds=time.perf_counter() - begun)


async def read(url: str, app: str, folder: str, count: str) -> None:
    """The same through the port, and once more with each entry read as an event."""
    async with filled(url, app, folder, int(count)) as broker:
        span, limits, seen = await broker.span(stream_name(app)), Limits(), 0
        begun = time.perf_counter()
        async for _ in scan(broker, stream_name(app), span):
            seen += 1
        reading = time.perf_counter()
        async for entry in scan(broker, stream_name(app), span):
            read_event(entry, limits)
        report(seconds=reading - begun, events=time.perf_counter() - reading, seen=seen)


async def replay(url: str, app: str, folder: str, count: str) -> None:
    """From the order to the last outcome; the plan's time by itself."""
    chosen = settings(url, app, folder)
    handled = 0

    @handler(OrderPlaced, queue=f"{app}.q", concurrency=64, exchange=f"{app}.none")
    async def place(event: Event[OrderPlaced]) -> None:
        nonlocal handled
        handled += 1

    async with filled(url, app, folder, int(count)), running(chosen, place) as worker:
        database, wanted, target = worker.database, EventFilter(), Target(f"{app}.q", "place", ())
        source = Source(worker.broker, stream_name(app), Limits(), masking_for(chosen))
        begun = time.perf_counter()
        span = await worker.broker.span(stream_name(app))
        plan = await stream_replay.plan(database, source, wanted, target, span=span)
        planned = time.perf_counter()
        operation = await stream_replay.start(
            database, plan, app=app, operator=Operator("bench"), why="", options=Options()
        )
        while (await one(database, operation.id)).succeeded < int(count):
            await asyncio.sleep(0.02)
        report(seconds=time.perf_counter() - planned, planning=planned - begun, handled=handled)
        await worker.broker.delete_exchange(f"{app}.none")


if __name__ == "__main__":
    act = {"raw": raw, "read": read, "replay": replay}[sys.argv[1]]
    asyncio.run(act(*sys.argv[2:]))
