"""A bare aio-pika loop with batched acks: no decoding, no handler, nothing remembered."""

from __future__ import annotations

import asyncio
import sys
import time

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from benchmarks import bed
from benchmarks.contestants.stopwatch import report

BATCH = 100
QUORUM = {"x-queue-type": "quorum"}


async def fill(url: str, queue: str, count: int) -> None:
    await bed.fill(url, queue, count, QUORUM)


async def consume(url: str, queue_name: str, count: int) -> None:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=500)
        queue = await channel.get_queue(queue_name)
        done = asyncio.Event()
        seen, first = 0, 0.0

        async def receive(message: AbstractIncomingMessage) -> None:
            nonlocal seen, first
            if not seen:
                first = time.perf_counter()
            seen += 1
            if seen % BATCH == 0 or seen == count:
                await message.ack(multiple=True)
            if seen == count:
                done.set()

        await queue.consume(receive)
        await done.wait()
        report(seconds=time.perf_counter() - first)


if __name__ == "__main__":
    asyncio.run({"fill": fill, "consume": consume}[sys.argv[1]](sys.argv[2], sys.argv[3], int(sys.argv[4])))
