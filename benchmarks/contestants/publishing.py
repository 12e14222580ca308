"""Confirmed publishing: Warren's `publish_many` of typed events, and a bare loop of publishes in flight together.

The bare loop has its bodies made before the clock starts; Warren makes its own.

Usage: python -m benchmarks.contestants.publishing bare|warren URL EXCHANGE COUNT
"""

from __future__ import annotations

import asyncio
import sys
import time
from decimal import Decimal

from benchmarks.bed import body, report

#: Publishes of the bare loop in flight together.
TOGETHER = 500


async def bare(url: str, exchange_name: str, count: int) -> float:
    import aio_pika

    bodies = [body(number) for number in range(count)]
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(exchange_name)

        async def send(number: int) -> None:
            message = aio_pika.Message(
                bodies[number],
                message_id=f"m-{number}",
                type="bench.order_placed",
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await exchange.publish(message, "bench.order_placed")

        begun = time.perf_counter()
        for start in range(0, count, TOGETHER):
            await asyncio.gather(*(send(number) for number in range(start, min(start + TOGETHER, count))))
        return time.perf_counter() - begun


async def warren(url: str, exchange: str, count: int) -> float:
    from engine import Engine, EventData, Settings

    class OrderPlaced(EventData, type="bench.order_placed", aggregate="order", key="order_id"):
        order_id: str
        customer: str
        total: Decimal
        quantity: int

    settings = Settings.load(broker=url, app=f"{exchange}-app", exchange=exchange)
    orders = [
        OrderPlaced(order_id=f"o-{number}", customer="alice", total=Decimal(number), quantity=3)
        for number in range(count)
    ]
    async with Engine(settings, database=False) as engine:
        begun = time.perf_counter()
        await engine.publish_many(orders)
        return time.perf_counter() - begun


if __name__ == "__main__":
    act = {"bare": bare, "warren": warren}[sys.argv[1]]
    report(seconds=asyncio.run(act(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
