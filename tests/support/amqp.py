"""What tests say to a broker directly, past the adapter they test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import aio_pika
from aio_pika.abc import AbstractChannel

from engine.model.topology import Topology

#: Seconds for anything that a test asks of a broker.
PATIENCE = 15.0


@asynccontextmanager
async def channel(url: str) -> AsyncIterator[AbstractChannel]:
    """A plain channel (not a robust one, so its depths are never stale) on a connection of its own."""
    connection = await aio_pika.connect(url, timeout=PATIENCE)
    try:
        yield await connection.channel(on_return_raises=True)
    finally:
        await connection.close()


class Leftovers:
    """Names that a test made on a shared broker, deleted when it ends.

    AMQP cannot list or separate them, so the test says what it makes: names, or a whole topology.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._queues: list[str] = []
        self._exchanges: list[str] = []

    def queues(self, *names: str) -> None:
        self._queues.extend(names)

    def exchanges(self, *names: str) -> None:
        self._exchanges.extend(names)

    def topology(self, topology: Topology) -> None:
        self.queues(*(queue.name for queue in topology.queues))
        self.exchanges(*(exchange.name for exchange in topology.exchanges))

    async def delete(self) -> None:
        """Delete all of them; those that are not there are no error."""
        if self._queues or self._exchanges:
            await delete(self._url, self._queues, self._exchanges)
        self._queues.clear()
        self._exchanges.clear()


async def delete(url: str, queues: Iterable[str], exchanges: Iterable[str] = ()) -> None:
    """Delete queues with all that is in them, and exchanges. Names that are not there are no error."""
    async with asyncio.timeout(PATIENCE), channel(url) as plain:
        for name in dict.fromkeys(queues):
            await plain.queue_delete(name)
        for name in dict.fromkeys(exchanges):
            await plain.exchange_delete(name)
