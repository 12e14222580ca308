"""The subscriptions of a handler with partitions: its router's, and one for each partition.

Stands where the valve of another handler stands (`engine.runtime.valve`). What is given back goes
back with its whole subscription: one message by itself would be overtaken by those behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Sequence

from engine.brokers.base import Broker, Subscription
from engine.errors import BrokerError
from engine.model.message import Delivery
from engine.model.partition import partition_names, unwrap
from engine.runtime.consumer import Consumer
from engine.runtime.ordered import Ordered
from engine.runtime.router import Router
from engine.runtime.valve import Mode


class Line:
    """One subscription of a partition, and which of its deliveries are out."""

    __slots__ = ("early", "out", "subscription")

    def __init__(self) -> None:
        self.subscription: Subscription | None = None
        self.out: set[int] = set()
        #: What came before `consume` had returned the subscription that acks it.
        self.early: list[Delivery] = []


class Partitions:
    """Consumes router and partitions as a valve consumes a queue; `take` gets each delivery as it was first routed."""

    def __init__(
        self, broker: Broker, consumer: Consumer, ordered: Ordered, router: Router, take: Callable[[Delivery], None]
    ) -> None:
        self.mode = Mode.SHUT
        #: Of which something came: from these the broker delivers to this worker.
        self.received: set[str] = set()
        self.names = partition_names(consumer.queue, consumer.spec.partitions)
        self._broker = broker
        self._prefetch = consumer.prefetch
        self._ordered = ordered
        self._router = router
        self._take = take
        self._lines: dict[str, Line] = {}
        self._turning = asyncio.Lock()
        self._ended = False
        #: While the queue is probed: what waits for the one message that is out.
        self._probed: deque[Delivery] | None = None
        self._probe: Delivery | None = None

    async def turn(self, mode: Mode) -> None:
        """Consume in this way from now on. Raises a `BrokerError` where that cannot be; then it is shut."""
        async with self._turning:
            if self._ended or mode is self.mode:
                return
            await self._shut()
            if mode is Mode.SHUT:
                return
            self._probed, self._probe = (deque() if mode is Mode.PROBE else None), None
            self._ordered.open(self.names)
            try:
                await self._open_all(self.names, 1 if mode is Mode.PROBE else self._prefetch)
                await self._router.open()
            except BrokerError:
                await self._shut()
                raise
            self.mode = mode

    def hold(self) -> None:
        """Begin no message from now on, until the next turn."""
        self._ordered.shut(self.names)

    async def cancel(self) -> None:
        """For good: begin nothing more. What runs is finished and can be acked; the partitions stay this worker's till `close`.

        Were they let go of now, another worker would begin what follows a message that still runs.
        """
        self._ended = True
        async with self._turning:
            self.hold()
            self.mode = Mode.SHUT
            await self._router.shut()

    async def close(self) -> None:
        """Give back what is not acked, in its order."""
        self._ended = True
        async with self._turning:
            await self._shut()

    async def renew(self, names: Collection[str]) -> None:
        """Let another worker have these partitions, where one waits for them; stand behind it."""
        async with self._turning:
            if self.mode is not Mode.OPEN:
                return
            self._ordered.shut(names)
            await self._close(names)
            self._ordered.open(names)
            try:
                await self._open_all(names, self._prefetch)
            except BrokerError:  # from SHUT the next look opens all of it
                await self._shut()
                raise

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Ack each with the subscription that delivered it. Of one that was closed since, it comes again."""
        found: defaultdict[str, list[Delivery]] = defaultdict(list)
        for delivery in deliveries:
            line = self._lines.get(delivery.queue)
            if line is not None and id(delivery) in line.out:
                line.out.discard(id(delivery))
                found[delivery.queue].append(delivery)
        for name, theirs in found.items():
            line = self._lines.get(name)
            if line is not None and line.subscription is not None:
                await line.subscription.ack(theirs)
        if self._probed is not None and any(each is self._probe for each in deliveries):
            self._probe = self._probed.popleft() if self._probed else None
            if self._probe is not None:
                self._take(self._probe)

    async def nack(self, deliveries: Sequence[Delivery], *, requeue: bool) -> None:
        """Nothing of an order goes back by itself: it stays out until its subscription is closed."""

    async def _open_all(self, names: Collection[str], prefetch: int) -> None:
        # All are awaited, also when one fails: what is open can be closed.
        results = await asyncio.gather(*(self._open(name, prefetch) for name in names), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _open(self, name: str, prefetch: int) -> None:
        line = self._lines[name] = Line()

        def receive(delivery: Delivery) -> None:
            if line.subscription is None:
                line.early.append(delivery)
            else:
                self._received(line, delivery)

        line.subscription = await self._broker.consume(name, prefetch=prefetch, receive=receive)
        early, line.early = line.early, []
        for delivery in early:
            self._received(line, delivery)

    def _received(self, line: Line, delivery: Delivery) -> None:
        self.received.add(delivery.queue)
        if not self._ordered.takes(delivery.queue):
            return
        delivery = unwrap(delivery)
        line.out.add(id(delivery))
        if self._probed is None:
            self._take(delivery)
        elif self._probe is None:
            self._probe = delivery
            self._take(delivery)
        else:
            self._probed.append(delivery)

    async def _shut(self) -> None:
        self.hold()
        self.mode = Mode.SHUT
        await self._router.shut()
        await self._close(self.names)

    async def _close(self, names: Collection[str]) -> None:
        lines = [self._lines.pop(name, None) for name in names]
        await asyncio.gather(*(_close(line) for line in lines if line is not None))


async def _close(line: Line) -> None:
    if line.subscription is not None:
        with contextlib.suppress(BrokerError):
            await line.subscription.close()
