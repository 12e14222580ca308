"""Publishing from an application, against a bare loop."""

from __future__ import annotations

import asyncio
import statistics
import uuid

import aio_pika

from benchmarks import bed
from benchmarks.table import against, contest, table


def publish(url: str, runs: int, count: int) -> None:
    """`publish_many` of typed events, and a bare loop of confirmed publishes in flight together."""
    rates: dict[str, list[float]] = {"bare": [], "warren": []}
    for _ in range(runs):
        for name, taken in rates.items():
            taken.append(_once(url, name, count))
            print(f"  publish {name:<12} {taken[-1]:>8,.0f}/s", flush=True)
    medians = {name: statistics.median(taken) for name, taken in rates.items()}
    table(
        f"Publishing {count:,} messages, confirmed, to a quorum queue, one process, medians of {runs} turns",
        [(name, f"{median:>8,.0f}/s") for name, median in medians.items()]
        + [("warren / bare", against(medians["warren"] / medians["bare"], 0.9))],
    )


def bare_rate(url: str, count: int) -> float:
    """Messages a second of the bare loop, once: for others who publish."""
    return _once(url, "bare", count)


def _once(url: str, name: str, count: int) -> float:
    queue = f"bench-{uuid.uuid4().hex[:8]}"
    asyncio.run(_declare(url, queue))
    try:
        rate = count / contest("contestants.publishing", name, url, queue, str(count))["seconds"]
        landed = asyncio.run(bed.ready(url, queue))
        if landed != count:
            raise SystemExit(f"{name}: {landed} of {count} confirmed messages are in the queue")
        return rate
    finally:
        asyncio.run(_delete(url, queue))


async def _declare(url: str, name: str) -> None:
    """A topic exchange, and a queue of that name which gets all of it."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(name, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(exchange, "#")


async def _delete(url: str, name: str) -> None:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        await channel.exchange_delete(name)
    await bed.delete(url, name)
