"""What the contestants share: the queue, its messages, and how a time is reported."""

from __future__ import annotations

import json
import sys
import uuid
from decimal import Decimal
from typing import Any

import aio_pika

EXCHANGE = "events"


def body(number: int) -> bytes:
    """A DomainEvent of about 330 bytes, as an order system would send it."""
    return json.dumps(
        {
            "eventType": "bench.order_placed",
            "eventId": f"{uuid.uuid4()}",
            "timestamp": "2026-11-23T10:15:30.123456Z",
            "source": "bench",
            "aggregateId": f"o-{number}",
            "aggregateType": "order",
            "version": 1,
            "causationId": None,
            "correlationId": None,
            "data": {"order_id": f"o-{number}", "customer": "alice", "total": str(Decimal(number)), "quantity": 3},
            "metadata": {},
        },
        separators=(",", ":"),
    ).encode()


async def fill(url: str, queue: str, count: int, arguments: dict[str, Any]) -> None:
    """Declare the quorum queue and put the messages into it, persistent and confirmed."""
    import asyncio

    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        await channel.declare_queue(queue, durable=True, arguments=arguments)
        pending: list[Any] = []
        for number in range(count):
            payload = body(number)
            message = aio_pika.Message(
                payload,
                message_id=json.loads(payload)["eventId"],
                type="bench.order_placed",
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            pending.append(asyncio.ensure_future(channel.default_exchange.publish(message, queue)))
            if len(pending) >= 500:
                await asyncio.gather(*pending)
                pending.clear()
        await asyncio.gather(*pending)


async def ready(url: str, queue: str) -> int:
    """How many messages wait in the queue."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


async def delete(url: str, *queues: str) -> None:
    """Remove what a run left behind."""
    connection = await aio_pika.connect(url)
    async with connection:
        for queue in queues:
            channel = await connection.channel()
            try:
                await channel.queue_delete(queue)
            except aio_pika.exceptions.AMQPError:
                continue


def report(**figures: float) -> None:
    """The one line that a contestant prints."""
    print(json.dumps(figures))
    sys.stdout.flush()
