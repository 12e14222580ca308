"""The router: moves the messages of a handler's queue on into its partitions, each to that of its key.

Every worker of the handler consumes the queue, and the broker delivers to one of them. Of one key one
message at a time is on its way: the next follows when it is confirmed. So a partition that refuses, or a connection that
is lost, can cost time and make a second copy, which its record skips; but nothing is overtaken.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from engine.brokers.base import Broker, Subscription
from engine.errors import BrokerError, DecodingError, PublishRefused
from engine.model.codec import Limits, build_event
from engine.model.lines import Lines
from engine.model.message import Delivery, Publication
from engine.model.partition import UNREADABLE, partition_names, partition_of, unwrap, wrap
from engine.runtime import clock, points
from engine.runtime.consumer import Consumer
from engine.runtime.intake import read_envelope

logger = logging.getLogger("warren.router")

#: Messages that the router holds, and that it sends together.
PREFETCH, GROUP = 1024, 256
#: The longest wait, in seconds, before a refused message is tried again.
LONGEST_BACKOFF = 5.0


class Parcel(NamedTuple):
    """A message on its way to a partition, and how often that refused it. Without a key it waits for nobody."""

    delivery: Delivery
    partition: str
    key: str | None
    refusals: int = 0


class Router:
    """Routes one handler's messages, while it is open. `declare_again` makes a partition that has gone."""

    def __init__(
        self,
        broker: Broker,
        consumer: Consumer,
        limits: Limits,
        declare_again: Callable[[Iterable[BrokerError]], Awaitable[None]],
    ) -> None:
        self.queue = consumer.queue
        self._broker = broker
        self._payloads = consumer.invoke.payloads
        self._text_of = consumer.text_of
        self._limits = limits
        self._declare_again = declare_again
        self._names = partition_names(consumer.queue, consumer.spec.partitions)
        self._lines: Lines[Parcel] = Lines()
        self._ready: deque[Parcel] = deque()
        self._wake = asyncio.Event()
        self._subscription: Subscription | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to route; raises a `BrokerError`."""
        self._subscription = await self._broker.consume(self.queue, prefetch=PREFETCH, receive=self._receive)
        self._task = asyncio.create_task(self._run(), name=f"router of {self.queue}")

    async def shut(self) -> None:
        """Route no more. What is not acked by now stays in the queue."""
        subscription, self._subscription = self._subscription, None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._lines = Lines()
        self._ready.clear()
        if subscription is not None:
            with contextlib.suppress(BrokerError):
                await subscription.close()

    def _receive(self, delivery: Delivery) -> None:
        # One that an operator moved back here from a partition was wrapped before.
        parcel = self._address(unwrap(delivery))
        if parcel.key is None or self._lines.join(parcel.key, parcel):
            self._ready.append(parcel)
            self._wake.set()

    def _address(self, delivery: Delivery) -> Parcel:
        envelope, _ = read_envelope(delivery, self._limits)
        if envelope is None:
            return Parcel(delivery, self._names[UNREADABLE], None)
        count = len(self._names)
        try:
            key = self._text_of(build_event(envelope, self._payloads, id=envelope.id or "", now=clock.utc()))
        except DecodingError:
            return Parcel(delivery, self._names[UNREADABLE], None)
        if key is None:
            return Parcel(delivery, self._names[partition_of(envelope.id or "", count)], None)
        return Parcel(delivery, self._names[partition_of(key, count)], key)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._ready:
                await self._send([self._ready.popleft() for _ in range(min(len(self._ready), GROUP))])

    async def _send(self, parcels: Sequence[Parcel]) -> None:
        publications = [Publication("", each.partition, wrap(each.delivery)) for each in parcels]
        try:
            answers = await self._broker.publish(publications)
        except BrokerError as error:
            answers = [error] * len(parcels)
        points.reach("routed")
        taken: list[Delivery] = []
        hopeless: list[Delivery] = []
        refused: list[tuple[Parcel, BrokerError]] = []
        for parcel, answer in zip(parcels, answers, strict=True):
            if answer is None:
                taken.append(parcel.delivery)
                self._next(parcel)
            elif isinstance(answer, PublishRefused) and answer.lasting:
                logger.error("a message of %s cannot be routed, and is dead-lettered: %s", self.queue, answer.message)
                hopeless.append(parcel.delivery)
                self._next(parcel)
            else:
                refused.append((parcel, answer))
        await self._settle(taken, hopeless)
        if refused:
            await self._refused(refused)

    def _next(self, parcel: Parcel) -> None:
        if parcel.key is not None and (following := self._lines.leave(parcel.key)) is not None:
            self._ready.append(following)

    async def _settle(self, taken: Sequence[Delivery], hopeless: Sequence[Delivery]) -> None:
        subscription = self._subscription
        if subscription is None:
            return
        try:
            if taken:
                await subscription.ack(taken)
            if hopeless:
                await subscription.nack(hopeless, requeue=False)
        except BrokerError as error:
            # Not acked is routed again, and the record skips the copy.
            logger.warning("what was routed could not be acked, and is routed again: %s", error.message)

    async def _refused(self, refused: Sequence[tuple[Parcel, BrokerError]]) -> None:
        parcel, error = refused[0]
        logger.warning(
            "%d messages of %s were not taken by their partitions, they wait with those behind them; the first, to %s: %s",
            len(refused),
            self.queue,
            parcel.partition,
            error.message,
        )
        await self._declare_again([error for _, error in refused])
        loop = asyncio.get_running_loop()
        for parcel, _ in refused:
            wait = min(LONGEST_BACKOFF, 0.1 * 2 ** min(parcel.refusals, 16)) * random.uniform(0.5, 1.0)
            loop.call_later(wait, self._retry, parcel._replace(refusals=parcel.refusals + 1), self._task)

    def _retry(self, parcel: Parcel, task: asyncio.Task[None] | None) -> None:
        if task is self._task is not None:
            self._ready.append(parcel)
            self._wake.set()
