"""Whether and how a queue is consumed: open, shut, or open for one message at a time.

Stands where the one subscription of a queue would stand. Each opening is a subscription of
its own; one that was cut is kept until what it delivered is acked, so a handler that still runs
holds up neither the shutting nor the next opening.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from engine.brokers.base import Broker, Subscription
from engine.errors import BrokerError
from engine.model import record as transitions
from engine.model.message import Delivery
from engine.runtime import clock
from engine.runtime.job import Job
from engine.runtime.outcomes import Outcome

if TYPE_CHECKING:
    from engine.runtime.consumer import Consumer
    from engine.storage.writer import Inlet


class Mode(Enum):
    """How a queue is consumed."""

    SHUT = "shut"
    #: One message is out at a time.
    PROBE = "probe"
    OPEN = "open"


class Line:
    """One subscription, and which of its deliveries are out."""

    __slots__ = ("out", "subscription")

    def __init__(self) -> None:
        self.subscription: Subscription | None = None
        self.out: set[int] = set()


class Valve:
    """The subscription of one queue, as `engine.brokers.base.Subscription` has it, that can be shut and opened."""

    def __init__(
        self,
        broker: Broker,
        consumer: Consumer,
        take: Callable[[Delivery], None],
        settle: Inlet[Outcome],
        give_back: Callable[[Job], None],
    ) -> None:
        self.mode = Mode.SHUT
        self._broker = broker
        self._consumer = consumer
        self._take = take
        self._settle = settle
        self._give_back = give_back
        self._current: Line | None = None
        self._cut: list[Line] = []
        self._refused: list[Job] = []
        self._returning = False
        self._turning = asyncio.Lock()
        self._ended = False
        self._closing: set[asyncio.Task[None]] = set()

    async def turn(self, mode: Mode) -> None:
        """Consume in this way from now on. Raises a `BrokerError` where that cannot be; then it is shut.

        To shut it gives back what no lane has begun, without counting an attempt.
        """
        async with self._turning:
            if self._ended or mode is self.mode:
                return
            await self._shut()
            if mode is not Mode.SHUT:
                self._consumer.refuse(None)
                try:
                    await self._open(1 if mode is Mode.PROBE else self._consumer.prefetch)
                except BrokerError:
                    self.hold()
                    raise
                self.mode = mode

    def hold(self) -> None:
        """Begin no message from now on, until the next turn."""
        self._consumer.refuse(self._refuse)

    async def cancel(self) -> None:
        """For good: take no more deliveries; those that are out are run, and can still be acked."""
        self._ended = True
        async with self._turning:
            current, self._current = self._current, None
            if current is not None and current.subscription is not None:
                self._cut.append(current)
                await current.subscription.cancel()
            self.mode = Mode.SHUT
            self._return()

    async def close(self) -> None:
        """Cancel, and give back what is not acked."""
        await self.cancel()
        for line in self._cut:
            if line.subscription is not None:
                await line.subscription.close()
        self._cut.clear()

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Ack each with the subscription that delivered it."""
        for line, theirs in self._sorted(deliveries):
            if line.subscription is not None:
                await line.subscription.ack(theirs)
        self._let_go()

    async def nack(self, deliveries: Sequence[Delivery], *, requeue: bool) -> None:
        """Nack each with the subscription that delivered it."""
        for line, theirs in self._sorted(deliveries):
            if line.subscription is not None:
                await line.subscription.nack(theirs, requeue=requeue)
        self._let_go()

    async def _open(self, prefetch: int) -> None:
        line = Line()
        take, out = self._take, line.out
        # Deliveries may come before `consume` has returned the subscription that acks them.
        early: list[Delivery] | None = []

        def receive(delivery: Delivery) -> None:
            out.add(id(delivery))
            if early is None:
                take(delivery)
            else:
                early.append(delivery)

        line.subscription = await self._broker.consume(self._consumer.queue, prefetch=prefetch, receive=receive)
        self._current = line
        waiting, early = early, None
        for delivery in waiting or ():
            take(delivery)

    async def _shut(self) -> None:
        self.hold()
        current, self._current = self._current, None
        if current is not None and current.subscription is not None:
            self._cut.append(current)
            await current.subscription.cancel()
        self.mode = Mode.SHUT
        self._return()
        self._let_go()

    def _refuse(self, job: Job) -> None:
        """A message that is not to be run now. Only once nothing more comes it is given back: else it came at once."""
        self._refused.append(job)
        if self.mode is Mode.SHUT and not self._returning:
            self._returning = True
            asyncio.get_running_loop().call_soon(self._return)

    def _return(self) -> None:
        self._returning = False
        now = clock.now()
        while self._refused:
            job = self._refused.pop()
            self._consumer.forgo(job)
            if job.record is None:  # a query, of which nothing is written
                self._give_back(job)
                continue
            self._settle.put(Outcome(job, transitions.unclaim(job.record, now), back=True))

    def _sorted(self, deliveries: Sequence[Delivery]) -> list[tuple[Line, Sequence[Delivery]]]:
        current = self._current
        if current is not None and not self._cut:
            current.out.difference_update(map(id, deliveries))
            return [(current, deliveries)]
        found: list[tuple[Line, Sequence[Delivery]]] = []
        for line in (*self._cut, *((current,) if current is not None else ())):
            theirs = [delivery for delivery in deliveries if id(delivery) in line.out]
            if theirs:
                line.out.difference_update(map(id, theirs))
                found.append((line, theirs))
        return found

    def _let_go(self) -> None:
        """Close the cut subscriptions of which nothing is out any more."""
        done = [line for line in self._cut if not line.out]
        if done and not self._ended:
            self._cut = [line for line in self._cut if line.out]
            for line in done:
                task = asyncio.create_task(_close(line))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)


async def _close(line: Line) -> None:
    if line.subscription is not None:
        with contextlib.suppress(BrokerError):
            await line.subscription.close()
