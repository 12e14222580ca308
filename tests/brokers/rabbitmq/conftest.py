"""Brokers on the shared RabbitMQ, and queues that are gone afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest

from engine.brokers.rabbitmq.broker import RabbitBroker
from engine.errors import BrokerError
from engine.model.message import Delivery, Message, Publication
from engine.model.topology import Queue, Topology
from tests.support.amqp import Leftovers

PATIENCE = 20.0

MakeQueue: TypeAlias = Callable[..., Awaitable[str]]


class Inbox:
    """Keeps what a subscription delivers."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._news = asyncio.Event()

    def receive(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self._news.set()

    async def until(self, count: int, patience: float = PATIENCE) -> list[Delivery]:
        async with asyncio.timeout(patience):
            while len(self.deliveries) < count:
                self._news.clear()
                await self._news.wait()
        return self.deliveries


class States:
    """Keeps what `on_state` says."""

    def __init__(self, broker: RabbitBroker) -> None:
        self.seen: list[tuple[str | None, BrokerError | None]] = []
        self._news = asyncio.Event()
        broker.on_state = self._hear

    def _hear(self, queue: str | None, error: BrokerError | None) -> None:
        self.seen.append((queue, error))
        self._news.set()

    async def until(
        self, queue: str | None, kind: type[BrokerError] | None, patience: float = PATIENCE
    ) -> BrokerError | None:
        """The first word about `queue` of that kind, None for a restoration."""
        async with asyncio.timeout(patience):
            while True:
                for about, error in self.seen:
                    if about == queue and (error is None if kind is None else isinstance(error, kind)):
                        return error
                self._news.clear()
                await self._news.wait()


@pytest.fixture
async def broker(amqp_url: str, app: str, leftovers: Leftovers) -> AsyncIterator[RabbitBroker]:
    """A connected broker; what it leaves is deleted after it is closed."""
    broker = RabbitBroker(amqp_url, app=app)
    await broker.connect()
    yield broker
    await broker.close()


@pytest.fixture
def make_queue(broker: RabbitBroker, app: str, leftovers: Leftovers) -> MakeQueue:
    """Declares a quorum queue of this test's own and answers its name."""

    async def make(label: str = "q", **arguments: str | int) -> str:
        name = f"{app}.{label}"
        leftovers.queues(name)
        wanted = {"x-queue-type": "quorum"} | {key.replace("_", "-"): value for key, value in arguments.items()}
        await broker.declare(Topology(queues=(Queue(name, wanted),)))
        return name

    return make


def to(queue: str, message_id: str | None = None, body: bytes = b"{}") -> Publication:
    """A publication straight to a queue."""
    return Publication("", queue, Message(body, message_id=message_id))
