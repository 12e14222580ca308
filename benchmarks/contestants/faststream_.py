"""FastStream: a typed payload, a handler that does nothing or publishes one event, no idempotency.

Without a prefetch, its natural setting, it takes the whole queue at once and drowns in tasks; so it gets 100.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from decimal import Decimal

from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue
from pydantic import BaseModel, Field

from benchmarks import bed
from benchmarks.contestants.stopwatch import Stopwatch, report


class OrderPlaced(BaseModel):
    order_id: str
    customer: str
    total: Decimal
    quantity: int


class Envelope(BaseModel):
    event_type: str = Field(alias="eventType")
    event_id: str = Field(alias="eventId")
    data: OrderPlaced


async def fill(url: str, queue: str, count: int) -> None:
    await bed.fill(url, queue, count, {"x-queue-type": "quorum"})
    await bed.fill(url, f"{queue}.out", 0, {"x-queue-type": "quorum"})


async def consume(url: str, queue_name: str, count: int, emits: bool = False) -> None:
    broker = RabbitBroker(url, log_level=logging.WARNING, default_channel=Channel(prefetch_count=100))
    queue = RabbitQueue(queue_name, queue_type=QueueType.QUORUM, durable=True, declare=False)
    out = RabbitQueue(f"{queue_name}.out", queue_type=QueueType.QUORUM, durable=True, declare=False)
    watch = Stopwatch(count)

    async def handle(event: Envelope) -> None:
        watch.tick()

    async def handle_and_publish(event: Envelope) -> OrderPlaced:
        watch.tick()
        return event.data

    if emits:
        broker.subscriber(queue)(broker.publisher(out, persist=True)(handle_and_publish))
    else:
        broker.subscriber(queue)(handle)
    await broker.start()
    await watch.wait()
    await broker.stop()
    report(seconds=watch.seconds)


async def emit(url: str, queue: str, count: int) -> None:
    await consume(url, queue, count, emits=True)


if __name__ == "__main__":
    acts = {"fill": fill, "consume": consume, "emit": emit}
    asyncio.run(acts[sys.argv[1]](sys.argv[2], sys.argv[3], int(sys.argv[4])))
