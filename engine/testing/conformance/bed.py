"""The bed that a check lies in: brokers, names of its own, and a clean-up."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, TypeAlias

from engine.brokers.base import Broker, Subscription
from engine.errors import BrokerError
from engine.model.message import Delivery, Headers, Message, Publication
from engine.model.topology import Binding, Exchange, Queue, Topology, dlx_name

#: Gives one more broker on the same messages, not yet connected.
Make: TypeAlias = Callable[[], Broker]
Check: TypeAlias = Callable[[Make], Awaitable[None]]

#: Seconds that anything may take.
PATIENCE = 15.0


class NotConforming(AssertionError):
    """The broker does other than the contract says."""


def expect(holds: bool, otherwise: str) -> None:
    """Raise `NotConforming` with these words unless it holds."""
    if not holds:
        raise NotConforming(otherwise)


def expect_equal(found: object, wanted: object, what: str) -> None:
    """Raise `NotConforming` unless both are equal."""
    if found != wanted:
        raise NotConforming(f"{what}: {_short(found)}, where {_short(wanted)} was to be")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 600 else f"{text[:400]} … {text[-200:]}"


class Inbox:
    """Keeps what a subscription delivers, and lets one wait for it."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._arrived = asyncio.Event()

    def receive(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self._arrived.set()

    @property
    def ids(self) -> list[str | None]:
        return [delivery.message.message_id for delivery in self.deliveries]

    async def until(self, count: int, patience: float | None = None) -> list[Delivery]:
        """The first `count` deliveries, once they have come."""
        patience = PATIENCE if patience is None else patience
        try:
            async with asyncio.timeout(patience):
                while len(self.deliveries) < count:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise NotConforming(
                f"{len(self.deliveries)} of {count} deliveries came within {patience:g} s: {_short(self.ids)}"
            ) from None
        return self.deliveries[:count]


class Bed:
    """Brokers that are closed, and queues and exchanges that are deleted, when the check is over."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._brokers: list[Broker] = []
        self._queues: set[str] = set()
        self.uid: Final = f"conformance-{uuid.uuid4().hex[:12]}"
        #: Two exchanges of the check's own, declared.
        self.topic: Final = f"{self.uid}.topic"
        self.direct: Final = f"{self.uid}.direct"
        self.exchanges: Final = (Exchange(self.topic, "topic"), Exchange(self.direct, "direct"))
        self.broker: Broker

    async def __aenter__(self) -> Bed:
        self.broker = await self.connect()
        try:
            await self.broker.declare(Topology(self.exchanges))
        except BaseException:
            await self.broker.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for broker in self._brokers:
            await broker.close()
        sweeper = self._make()
        await sweeper.connect()
        try:
            for queue in self._queues:
                try:
                    await sweeper.delete_queue(queue)
                except BrokerError:  # the check itself deleted it, perhaps
                    continue
            for exchange in (self.topic, self.direct, dlx_name(self.uid)):
                await sweeper.delete_exchange(exchange)
        finally:
            await sweeper.close()

    async def connect(self) -> Broker:
        """One more connected broker."""
        broker = self._make()
        self._brokers.append(broker)
        await broker.connect()
        return broker

    def name(self, label: str) -> str:
        """A queue name that no one else uses. The queue is deleted in the end, should there be one."""
        name = f"{self.uid}.{label}"
        self._queues.add(name)
        return name

    async def queue(self, label: str, arguments: Mapping[str, str | int] | None = None) -> str:
        """Declare a quorum queue."""
        name = self.name(label)
        await self.broker.declare(Topology(queues=(Queue(name, {"x-queue-type": "quorum", **(arguments or {})}),)))
        return name

    async def bind(self, queue: str, *patterns: str, exchange: str | None = None) -> None:
        """Bind a queue, to the topic exchange unless another is named."""
        bindings = tuple(Binding(exchange or self.topic, queue, pattern) for pattern in patterns)
        await self.broker.declare(Topology(bindings=bindings))

    async def send(self, queue: str, *ids: str) -> None:
        """Put one message for each id into a queue."""
        await self.publish([to_queue(queue, message_id) for message_id in ids])

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Publish what must be confirmed."""
        results = await self.broker.publish(publications)
        expect_equal(results, [None] * len(publications), "The results of a publish")

    async def consume(
        self, queue: str, prefetch: int = 100, broker: Broker | None = None
    ) -> tuple[Inbox, Subscription]:
        inbox = Inbox()
        return inbox, await (broker or self.broker).consume(queue, prefetch=prefetch, receive=inbox.receive)

    async def drain(self, queue: str) -> list[Message]:
        """All that is in a queue, taken off it."""
        messages = []
        while (message := await self.broker.get(queue)) is not None:
            messages.append(message)
        return messages

    async def until_ready(self, queue: str, count: int) -> None:
        """Wait until so many messages wait in a queue."""

        async def settled() -> bool:
            depth = (await self.broker.depths([queue]))[queue]
            return depth is not None and depth.ready == count

        await eventually(settled, f"{count} messages wait in {queue}")


def to_queue(queue: str, message_id: str, body: bytes = b"{}", headers: Headers | None = None) -> Publication:
    """A publication straight to a queue."""
    return Publication("", queue, Message(body, headers=headers or {}, message_id=message_id))


async def eventually(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until it holds; for what no event tells."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    while not await holds():
        expect(loop.time() < end, f"Within {PATIENCE:g} s it did not come about that {what}")
        await asyncio.sleep(0.02)


def ids_of(messages: Sequence[Message]) -> list[str | None]:
    return [message.message_id for message in messages]
