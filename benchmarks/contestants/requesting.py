"""Request and reply over direct reply-to: a bare aio-pika round trip, and `engine.request` of a typed query.

The other side runs in the same process on connections of its own: for Warren a worker with the query's handler.

Usage: python -m benchmarks.contestants.requesting bare|warren URL NAME COUNT FLIGHT
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.bed import report

Ask = Callable[[int], Awaitable[int]]


async def measure(ask: Ask, count: int, flight: int) -> dict[str, float]:
    """One after the other, and then so many at once."""
    for number in range(20):
        await ask(number)
    trips: list[float] = []
    for number in range(count):
        begun = time.perf_counter()
        assert await ask(number) == number
        trips.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    answers = await asyncio.gather(*(ask(number) for number in range(flight)), return_exceptions=True)
    seconds = time.perf_counter() - begun
    lost = sum(answer != number for number, answer in enumerate(answers))
    trips.sort()
    return {"p50": statistics.median(trips), "p99": trips[int(0.99 * count)], "rate": flight / seconds, "lost": lost}


async def bare(url: str, name: str, count: int, flight: int) -> dict[str, float]:
    import aio_pika

    asking, answering = await aio_pika.connect(url), await aio_pika.connect(url)
    async with asking, answering:
        ours, theirs = await asking.channel(publisher_confirms=False), await answering.channel(publisher_confirms=False)
        queue = await theirs.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        await theirs.set_qos(256)

        async def answer(message: Any) -> None:
            back = aio_pika.Message(message.body, correlation_id=message.correlation_id)
            await theirs.default_exchange.publish(back, message.reply_to, mandatory=False)
            await message.ack()

        await queue.consume(answer)
        waiting: dict[str, asyncio.Future[bytes]] = {}

        async def take(message: Any) -> None:
            waiting.pop(message.correlation_id).set_result(message.body)

        replies = await ours.get_queue("amq.rabbitmq.reply-to", ensure=False)
        await replies.consume(take, no_ack=True)

        async def ask(number: int) -> int:
            key = f"{number}-{time.perf_counter_ns()}"
            reply = waiting[key] = asyncio.get_running_loop().create_future()
            message = aio_pika.Message(
                b'{"number":%d}' % number,
                correlation_id=key,
                reply_to="amq.rabbitmq.reply-to",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await ours.default_exchange.publish(message, name)
            return int((await reply)[10:-1])

        return await measure(ask, count, flight)


async def warren(url: str, name: str, count: int, flight: int) -> dict[str, float]:
    from engine import Engine, Query, Settings, query_handler
    from engine.runtime.worker import Worker

    class Echo(Query[int], type="bench.echo"):
        number: int

    @query_handler(Echo, queue=name, concurrency=64, prefetch=256)
    async def echo(query: Echo) -> int:
        return query.number

    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{Path(folder) / 'warren.db'}"
        settings = Settings.load(broker=url, app=name, exchange=f"{name}.events", database=database)
        worker, ready = Worker(settings, [echo.__warren_handler__]), asyncio.Event()  # type: ignore[attr-defined]
        running = asyncio.create_task(worker.run(ready.set))
        await ready.wait()
        async with Engine(settings) as engine:
            found = await measure(lambda number: engine.request(Echo(number=number), timeout=60), count, flight)
        for queue in worker.topology.queues:
            await worker.broker.delete_queue(queue.name)
        for exchange in (f"{name}.events", f"{name}.dlx"):
            await worker.broker.delete_exchange(exchange)
        worker.stop()
        await running
        return found


if __name__ == "__main__":
    act = {"bare": bare, "warren": warren}[sys.argv[1]]
    report(**asyncio.run(act(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))))
