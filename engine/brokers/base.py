"""The broker port: what Warren needs of a broker, and nothing else.

Every adapter passes `engine.testing.conformance`. The contract:

* Exchanges are topic or direct, queues durable. `*` stands for one word of a routing
  key, `#` for any number. Publishing to the exchange `""` reaches the queue named by the key.
* `publish` returns when every message was confirmed or refused. Confirmed means that
  each queue it was routed to holds it durably: it survives a kill of broker and client.
* A delivery stays with the broker until it is acked. What is not acked when its
  subscription or process ends is delivered again, with `redelivered` set; after 1,000
  deliveries it is dead-lettered instead. No more than `prefetch` are out at a time.
* A queue with `x-single-active-consumer` delivers to one subscription at a time, the one that came first. When that is
  cancelled or gone the next goes on; one that is closed, or killed, first gives back what it had, in order.
* `ack` and `nack` of a delivery whose connection has gone are ignored: it comes again.
* `nack(requeue=False)`, an expired queue TTL and the delivery limit dead-letter to the
  queue's `x-dead-letter-exchange`, at least once; without one the message is dropped.
* A queue with `x-max-length` and `reject-publish` refuses what exceeds it: `PublishRefused`.
* An adapter reconnects by itself, with backoff and jitter, declares again what it declared,
  and restores its subscriptions. A queue that fails never disturbs another queue.
* `replies` opens a way for requests: it puts a `reply_to` into what it publishes, and what is published
  to `""` under that name comes to `receive`, at most once, without an ack. With its connection it is lost.
* A queue of `x-queue-type` stream is a log: bound as any other, read and never consumed. Offsets only grow, with
  gaps; retention (`x-max-age`, `x-max-length-bytes`) drops whole segments at its beginning, the last one never.
* `listen` makes a queue bound to patterns, which goes with this connection; its deliveries need no ack. After
  a reconnect it is made again, and `missed` is called: what was published meanwhile is lost to it.
* Every call ends within its time-out, raising `BrokerUnavailable`, never `CancelledError`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NamedTuple, Protocol

from engine.errors import BrokerError
from engine.model.message import Delivery, Message, Publication
from engine.model.topology import Difference, Topology


class Depth(NamedTuple):
    """How many messages wait in a queue (not those out with a consumer), and its consumers."""

    ready: int
    consumers: int


class Span(NamedTuple):
    """The offsets of a stream from `first` up to `next`, which is still to be written; equal where it holds nothing."""

    first: int
    next: int


class Entry(NamedTuple):
    """An entry of a stream; its delivery needs no ack."""

    offset: int
    delivery: Delivery


class Subscription(Protocol):
    """A consumer on one queue, until it is closed."""

    async def ack(self, deliveries: Sequence[Delivery]) -> None: ...
    async def nack(self, deliveries: Sequence[Delivery], *, requeue: bool) -> None: ...
    async def cancel(self) -> None:
        """Take no more deliveries; those that are out can still be acked."""

    async def close(self) -> None:
        """Cancel, and give back what is not acked."""


class Replies(Protocol):
    """A way for requests, until it is closed or lost. It publishes as the broker does."""

    async def publish(self, publications: Sequence[Publication]) -> list[BrokerError | None]: ...
    async def close(self) -> None: ...


class Broker(Protocol):
    """A connection to a broker, made by `engine.brokers.open_broker(url)`."""

    #: Called with an error when the connection or a queue (its name) is lost, with None when restored.
    on_state: Callable[[str | None, BrokerError | None], None] | None

    async def connect(self) -> None:
        """Connect once; raises `BrokerUnavailable` or `AccessRefused`. From then on it reconnects."""

    async def close(self) -> None: ...

    async def declare(self, topology: Topology) -> None:
        """Make what is missing; raises `TopologyMismatch` where arguments differ."""

    async def differences(self, topology: Topology) -> list[Difference]:
        """Where the broker differs from the topology. Changes nothing."""

    async def publish(self, publications: Sequence[Publication]) -> list[BrokerError | None]:
        """Publish in order; per message None once confirmed, else why it was not."""

    async def consume(self, queue: str, *, prefetch: int, receive: Callable[[Delivery], None]) -> Subscription:
        """Deliver each message to `receive`, which must only queue it."""

    async def replies(self, receive: Callable[[Delivery], None], lost: Callable[[BrokerError], None]) -> Replies:
        """Open a way for requests. `lost` hears once that it is over, and then another can be opened."""

    async def listen(
        self, exchange: str, patterns: Sequence[str], receive: Callable[[Delivery], None], missed: Callable[[], None]
    ) -> Subscription:
        """Deliver what is published to the exchange from now on; raises `QueueMissing` without it."""

    async def depths(self, queues: Sequence[str]) -> dict[str, Depth | None]:
        """The depth of each queue, None where it is missing. Changes nothing."""

    async def span(self, stream: str, since: float | None = None) -> Span:
        """The offsets of a stream, or from a time on (seconds since the epoch; it may begin a little early), or `QueueMissing`."""

    def read(self, stream: str, offset: int, *, prefetch: int = 250) -> AsyncGenerator[Entry, None]:
        """Entries from an offset on, or the first above it that is kept, without end; changes nothing.

        Raises `QueueMissing`, and `BrokerUnavailable` when the connection goes: then read on behind the last entry.
        """

    async def get(self, queue: str) -> Message | None:
        """Take one message off a queue at once, acked. For tools and tests; not with a single active consumer."""

    async def delete_queue(self, queue: str) -> int:
        """Delete a queue with what is in it; the number of messages that were ready."""

    async def delete_exchange(self, exchange: str) -> None:
        """Delete an exchange with its bindings, if it is there."""
