"""Consumers of one connection, as the database thread knows them, and the dealing of messages among them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import Final, NamedTuple, Protocol

from engine.brokers.embedded.encoding import decode
from engine.brokers.embedded.store import Held, Store, Taken
from engine.errors import DecodingError
from engine.model.message import Delivery, Message

#: So many messages of a queue are taken in one transaction.
TAKE_AT_ONCE: Final = 512


class Receiver(Protocol):
    """The loop's side of a consumer."""

    def deliver(self, deliveries: Sequence[Delivery]) -> None: ...
    def remade(self) -> None: ...


class Consumer:
    """A consumer: its queue by name and, where that is there, by id; what is out with it by tag.

    `temporary`: the queue is its own, bound to these patterns of an exchange, and what it gets is gone from it.
    `active`: it is not waiting behind another consumer of a queue that delivers to one at a time.
    """

    __slots__ = ("active", "number", "open", "prefetch", "queue", "queue_id", "receiver", "temporary", "unacked")

    def __init__(
        self,
        number: int,
        queue: str,
        prefetch: int,
        receiver: Receiver,
        temporary: tuple[str, Sequence[str]] | None = None,
    ) -> None:
        self.number = number
        self.queue = queue
        self.queue_id: int | None = None
        self.prefetch = prefetch
        self.receiver = receiver
        self.temporary = temporary
        self.open = True
        self.active = True
        self.unacked: dict[int, Held] = {}

    @property
    def room(self) -> int:
        """How many more may be out."""
        return self.prefetch - len(self.unacked) if self.open and self.active else 0


class Batch(NamedTuple):
    """Deliveries for one consumer."""

    consumer: Consumer
    deliveries: list[Delivery]


class Consumers:
    """All consumers of a connection, by queue, and which queues have something for them.

    `others` counts the consumers of other connections. A queue that has some is shared: each
    connection takes its part of what waits and leaves the rest until the next `tick`.
    """

    def __init__(self) -> None:
        self.all: dict[int, Consumer] = {}
        self.by_queue: dict[int, list[Consumer]] = {}
        self.others: dict[int, int] = {}
        #: The queues that deliver to one consumer at a time.
        self.single: frozenset[int] = frozenset()
        self.ready: set[int] = set()
        self._left: set[int] = set()
        self._tags = count(1)

    def index(self) -> None:
        """Order the open consumers by queue, after one came, went or found its queue."""
        self.by_queue = {}
        for consumer in self.all.values():
            if consumer.open and consumer.queue_id is not None:
                self.by_queue.setdefault(consumer.queue_id, []).append(consumer)

    @property
    def left(self) -> bool:
        """Whether something was left to others."""
        return bool(self._left)

    def tick(self) -> None:
        """Others had their chance: what was left to them may be taken."""
        self._left.clear()

    def deliverable(self) -> list[int]:
        """The queues with something for a consumer that has room."""
        return [
            queue_id
            for queue_id in self.ready
            if queue_id not in self._left and any(consumer.room > 0 for consumer in self.by_queue.get(queue_id, ()))
        ]

    def deal(self, store: Store, connection: int, generation: int, now: float) -> list[Batch]:
        """Take what there is room for and deal it out, one each in turn."""
        batches: list[Batch] = []
        for queue_id in self.deliverable():
            consumers = self.by_queue[queue_id]
            consumers.append(consumers.pop(0))
            room = min(sum(max(consumer.room, 0) for consumer in consumers), TAKE_AT_ONCE)
            limit = room
            others = 0 if queue_id in self.single else self.others.get(queue_id, 0)
            if others:
                everyone = len(consumers) + others
                waiting = store.count(queue_id, room * everyone)
                limit = min(room, -(-waiting * len(consumers) // everyone))
                if limit < waiting and limit < room:
                    self._left.add(queue_id)
            taken, emptied = store.take(queue_id, connection, limit, now)
            if emptied or (others and len(taken) == waiting):
                self.ready.discard(queue_id)
            if consumers[0].temporary is not None:
                store.settle([entry.held for entry in taken])
            batches += self._hand_out(consumers, taken, generation)
        return batches

    def _hand_out(self, consumers: Sequence[Consumer], taken: Sequence[Taken], generation: int) -> list[Batch]:
        ring = deque(consumer for consumer in consumers if consumer.room > 0)
        parts: dict[int, Batch] = {}
        for entry in taken:
            consumer = ring.popleft()
            tag = next(self._tags)
            if consumer.temporary is None:
                consumer.unacked[tag] = entry.held
            if consumer.room > 0:
                ring.append(consumer)
            if consumer.number not in parts:
                parts[consumer.number] = Batch(consumer, [])
            parts[consumer.number].deliveries.append(_delivery(consumer.queue, entry, tag, generation))
        return list(parts.values())


def _delivery(queue: str, entry: Taken, tag: int, generation: int) -> Delivery:
    defect = None
    try:
        message = decode(entry.properties)
    except DecodingError as error:
        message, defect = Message(entry.properties[-1]), str(error)
    return Delivery(queue, message, tag, generation, entry.exchange, entry.routing_key, entry.returns > 0, defect)
