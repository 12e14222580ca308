"""The RabbitMQ adapter: `engine.brokers.base.Broker` over AMQP 0-9-1."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from engine.brokers.base import Depth, Entry, Span
from engine.brokers.rabbitmq import options
from engine.brokers.rabbitmq.control import Control
from engine.brokers.rabbitmq.declare import check_name, joined, part_for
from engine.brokers.rabbitmq.link import Link
from engine.brokers.rabbitmq.listener import RabbitListener
from engine.brokers.rabbitmq.permissions import may_write
from engine.brokers.rabbitmq.publisher import Publisher
from engine.brokers.rabbitmq.replies import RabbitReplies
from engine.brokers.rabbitmq.streams import Streams
from engine.brokers.rabbitmq.subscription import RabbitSubscription
from engine.errors import BrokerError, BrokerUnavailable, TopologyMismatch
from engine.model.message import Delivery, Message, Publication
from engine.model.topology import SINGLE_ACTIVE, Difference, Topology

log = logging.getLogger(__name__)

#: Consumers that are started at a time.
STARTS_AT_ONCE = 16
#: Seconds after which an idle consumer is renewed on a broker that does not tell of deletions,
#: and seconds between two renewals of one connection.
RENEW_IDLE = 15.0
RENEW_EACH = 0.1

for _name in ("aiormq", "aio_pika"):
    # what these have to say reaches the caller as errors and `on_state`; unless the application
    # sets logging up, nothing of it is printed
    logging.getLogger(_name).addHandler(logging.NullHandler())


class RabbitBroker:
    """A broker reached by an `amqp://` or `amqps://` URL.

    `timeout`, in seconds, bounds each call; a publish also waits that long for a reconnect.
    Publishing has a connection of its own, because a memory alarm blocks it, acks included.
    """

    def __init__(self, url: str, *, app: str = "warren", timeout: float = 10.0) -> None:
        self.on_state: Callable[[str | None, BrokerError | None], None] | None = None
        self.options = options.parse(url)
        self._app = app
        self._timeout = timeout
        self._consuming = Link(self.options, f"warren {app}", lost=self._link_lost, restored=self._consuming_restored)
        self._publishing = Link(
            self.options, f"warren {app} publisher", lost=self._link_lost, restored=self._publishing_restored
        )
        self._reading = Link(self.options, f"warren {app} streams", lost=lambda _, __: None, restored=lambda _: None)
        self._streams = Streams(self._reading, timeout=timeout)
        self._control = Control(self._consuming, timeout=timeout)
        self._publisher = Publisher(self._publishing, self._has_exchange, timeout=timeout)
        self._subscriptions: set[RabbitSubscription] = set()
        self._replies: set[RabbitReplies] = set()
        self._gate = asyncio.Semaphore(STARTS_AT_ONCE)
        self._declared = Topology()
        self._redeclared = asyncio.Event()
        self._redeclared.set()
        self._redeclare: asyncio.Task[None] | None = None
        self._down: set[Link] = set()
        self._told: type[BrokerError] | None = None
        self._lost_queues: set[str] = set()
        self._is_closed = False

    async def connect(self) -> None:
        """Connect once; raises `BrokerUnavailable` or `AccessRefused`. From then on it reconnects."""
        await self._consuming.open()

    @property
    def version(self) -> str | None:
        """The version that the server says it has; None while it is not connected."""
        line = self._consuming.line
        return None if line is None else line.version or None

    async def close(self) -> None:
        """Close all subscriptions and connections; what is not acked is delivered again."""
        self._is_closed = True
        if self._redeclare is not None:
            self._redeclare.cancel()
            await asyncio.wait((self._redeclare,))
        await asyncio.gather(*(each.close() for each in list(self._subscriptions)))
        await asyncio.gather(*(each.close() for each in list(self._replies)))
        await self._control.close()
        await asyncio.gather(self._consuming.close(), self._publishing.close(), self._reading.close())

    async def declare(self, topology: Topology) -> None:
        """Make what is missing; raises `TopologyMismatch` where arguments differ, or `AccessRefused`."""
        self._declared = joined(self._declared, topology)
        await self._control.declare(topology)
        self._publisher.forget()

    async def differences(self, topology: Topology) -> list[Difference]:
        """Where the broker differs; bindings, which AMQP cannot read, are left out."""
        return await self._control.differences(topology)

    async def may_write(self, exchange: str) -> bool:
        """Whether an exchange is there and this user may publish to it; raises `AccessRefused`. Changes nothing."""
        return await may_write(await self._consuming.ready(self._timeout), exchange, self._timeout)

    async def publish(self, publications: Sequence[Publication]) -> list[BrokerError | None]:
        """Publish in order; per message None once confirmed, else why it was not."""
        if self._is_closed:
            raise BrokerUnavailable("The broker is closed.")
        if not publications:
            return []
        self._publishing.start()
        return await self._publisher.publish(publications)

    async def consume(self, queue: str, *, prefetch: int, receive: Callable[[Delivery], None]) -> RabbitSubscription:
        """Deliver each message to `receive`, which must only queue it; raises `QueueMissing`."""
        check_name("queue", queue)
        single = any(each.name == queue and each.arguments.get(SINGLE_ACTIVE) for each in self._declared.queues)
        return await self._started(
            RabbitSubscription(self._consuming, queue, prefetch, receive, single=single, **self._around_consumers())
        )

    async def listen(
        self, exchange: str, patterns: Sequence[str], receive: Callable[[Delivery], None], missed: Callable[[], None]
    ) -> RabbitSubscription:
        """Deliver what is published to the exchange from now on; raises `QueueMissing` without it."""
        check_name("exchange", exchange)
        made = {"exchange": exchange, "patterns": patterns, "missed": missed, **self._around_consumers()}
        return await self._started(RabbitListener(self._consuming, f"{self._app}.listener", 0, receive, **made))

    def _around_consumers(self) -> dict[str, Any]:
        return {
            "timeout": self._timeout,
            "gate": self._gate,
            "idle": self._idle,
            "prepare": self._prepare,
            "report": self._report_queue,
            "closed": self._subscriptions.discard,
        }

    async def _started(self, subscription: RabbitSubscription) -> RabbitSubscription:
        await subscription.start()
        self._subscriptions.add(subscription)
        return subscription

    async def replies(self, receive: Callable[[Delivery], None], lost: Callable[[BrokerError], None]) -> RabbitReplies:
        """Open a way for requests. `lost` hears once that it is over, and then another can be opened."""
        if self._is_closed:
            raise BrokerUnavailable("The broker is closed.")
        # Beside the publishes: an alarm blocks requests too, and must not block acks.
        self._publishing.start()
        line = await self._publishing.ready(self._timeout)
        channel = await line.channel(self._timeout, confirms=True)
        replies = RabbitReplies(channel, receive, lost, timeout=self._timeout, closed=self._replies.discard)
        await replies.start()
        self._replies.add(replies)
        return replies

    async def depths(self, queues: Sequence[str]) -> dict[str, Depth | None]:
        """The depth of each queue, None where it is missing. Changes nothing."""
        return await self._control.depths(queues)

    async def span(self, stream: str, since: float | None = None) -> Span:
        """What a stream holds, or holds since a time; raises `QueueMissing`. Changes nothing."""
        self._check_stream(stream)
        return await self._streams.span(stream, since)

    def read(self, stream: str, offset: int, *, prefetch: int = 250) -> AsyncGenerator[Entry, None]:
        """The entries of a stream from an offset on, without end."""
        self._check_stream(stream)
        return self._streams.read(stream, offset, prefetch)

    def _check_stream(self, stream: str) -> None:
        if self._is_closed:
            raise BrokerUnavailable("The broker is closed.")
        check_name("stream", stream)

    async def get(self, queue: str) -> Message | None:
        """Take one message off a queue at once, acked; raises `QueueMissing`."""
        return await self._control.get(queue)

    async def delete_queue(self, queue: str) -> int:
        """Delete a queue with what is in it; the number of messages that were ready."""
        kept = self._declared
        self._declared = Topology(
            kept.exchanges,
            tuple(each for each in kept.queues if each.name != queue),
            tuple(each for each in kept.bindings if each.queue != queue),
        )
        return await self._control.delete_queue(queue)

    async def delete_exchange(self, exchange: str) -> None:
        """Delete an exchange with its bindings, if it is there."""
        kept = self._declared
        self._declared = Topology(
            tuple(each for each in kept.exchanges if each.name != exchange),
            kept.queues,
            tuple(each for each in kept.bindings if each.exchange != exchange),
        )
        self._publisher.forget()
        await self._control.delete_exchange(exchange)

    def _idle(self) -> float:
        """How long a consumer may be idle before it is renewed: longer where there are many."""
        return max(RENEW_IDLE, RENEW_EACH * len(self._subscriptions)) * random.uniform(0.8, 1.2)

    async def _has_exchange(self, name: str) -> bool:
        await self._restoring()
        return await self._control.has_exchange(name)

    async def _prepare(self, queue: str, missing: bool) -> None:
        """Before a consumer starts again: what was declared is there again."""
        await self._restoring()
        if missing:
            part = part_for(self._declared, queue)
            if part.queues:
                await self._control.declare(part)

    async def _restoring(self) -> None:
        """Wait, for a while, until what was declared is declared again after a reconnect."""
        if not self._redeclared.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeout):
                    await self._redeclared.wait()

    def _link_lost(self, link: Link, error: BrokerError) -> None:
        if link is self._consuming:
            self._redeclared.clear()
        else:
            self._publisher.forget()
        told = self._told if self._down else None
        self._down.add(link)
        if type(error) is not told:  # both connections go at once, and each failed retry says so again
            self._told = type(error)
            self._report(None, error)

    def _publishing_restored(self, link: Link) -> None:
        self._publisher.forget()
        self._link_restored(link)

    def _consuming_restored(self, link: Link) -> None:
        if self._redeclare is not None:
            self._redeclare.cancel()
        self._redeclare = asyncio.create_task(self._declare_again(link), name="warren declare again")

    async def _declare_again(self, link: Link) -> None:
        """A broker that came back may have come back empty."""
        try:
            refusals = await self._control.refusals(self._declared)
        except BrokerError as error:  # lost again: the next reconnect brings us here again
            log.debug("declaring again failed: %s", error.message)
            return
        for name, refusal in refusals.items():
            if isinstance(refusal, TopologyMismatch):
                self._report_queue(name, refusal)
        self._redeclared.set()
        self._link_restored(link)

    def _link_restored(self, link: Link) -> None:
        if link in self._down:
            self._down.discard(link)
            if not self._down:
                self._report(None, None)

    def _report_queue(self, queue: str, error: BrokerError | None) -> None:
        if error is not None:
            self._lost_queues.add(queue)
        elif queue in self._lost_queues:
            self._lost_queues.discard(queue)
        else:
            return
        self._report(queue, error)

    def _report(self, queue: str | None, error: BrokerError | None) -> None:
        if self.on_state is None or self._is_closed:
            return
        try:
            self.on_state(queue, error)
        except Exception:
            log.exception("on_state failed")
