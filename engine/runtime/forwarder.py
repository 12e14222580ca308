"""The due-forwarder: takes what a delay rung let go, and sends it to its target or to the next rung.

A message that may have been cancelled is decided upon in the database, right before it goes to its
target: sent or cancelled, whichever was written first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from engine.brokers.base import Broker, Subscription
from engine.errors import BrokerError, BrokerUnavailable, DecodingError
from engine.model import delay
from engine.model.message import Delivery, Publication
from engine.model.names import flaw
from engine.model.topology import due_name
from engine.runtime import clock, points
from engine.storage import delayed
from engine.storage.database import Database
from engine.storage.delayed import Fate

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger("warren.forwarder")

#: Due messages in hand at a time.
PREFETCH = 1024
#: Seconds on a rung for a message whose target refused it.
REFUSED_DELAY = 5.0
#: Seconds between two times that old decisions on delayed messages are forgotten.
PRUNE_INTERVAL = 3600.0


class Due(NamedTuple):
    """A due message: its target, and when it was to be there (seconds since the epoch)."""

    delivery: Delivery
    target: Publication
    when: float


class Forwarder:
    """Forwards due messages. What a target refuses goes back on a rung, and holds up no other.

    `unreadable` takes a due message that names no target, to be made a failure and acked.
    """

    def __init__(
        self,
        broker: Broker,
        database: Database,
        app: str,
        unreadable: Callable[[Subscription, Delivery, str], None],
    ) -> None:
        self._broker = broker
        self._database = database
        self._app = app
        self._unreadable = unreadable
        self._pruned = 0.0
        self._pending: list[Delivery] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.subscription: Subscription

    async def start(self) -> None:
        """Consume the due queue."""
        self.subscription = await self._broker.consume(due_name(self._app), prefetch=PREFETCH, receive=self._receive)

    def _receive(self, delivery: Delivery) -> None:
        self._pending.append(delivery)
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Forward until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                group, self._pending = self._pending, []
                await self._forward(group)
            self._idle.set()

    async def _forward(self, group: list[Delivery]) -> None:
        now = clock.now()
        due: list[Due] = []
        for delivery in group:
            try:
                target, when = delay.unwrap(delivery)
            except DecodingError as error:
                self._unreadable(self.subscription, delivery, error.message)
            else:
                due.append(Due(delivery, target, when))
        plain: list[Due] = []
        asked: list[Due] = []
        for one in due:
            (asked if one.when - now <= delay.EARLY and _may_be_cancelled(one) else plain).append(one)
        refused = await self._publish(plain, now)
        if asked:
            refused += await self._publish(await self._wanted(asked, now), now)
        if refused:
            logger.warning(
                "%d due messages were refused by their queue and wait %g s more; the first was for %s",
                len(refused),
                REFUSED_DELAY,
                refused[0].target.routing_key,
            )
            later = [one._replace(when=now + REFUSED_DELAY) for one in refused]
            if again := await self._publish(later, now):
                # Not even a rung takes them: the broker keeps them.
                await self.subscription.nack([one.delivery for one in again], requeue=True)
                await asyncio.sleep(1.0)

    async def _publish(self, due: list[Due], now: float) -> list[Due]:
        """Publish each where it goes now, ack what was confirmed, and return what was refused."""
        if not due:
            return []
        publications = [delay.plan(self._app, one.target, one.when, now) for one in due]
        try:
            answers = await self._broker.publish(publications)
        except BrokerError as error:
            answers = [error] * len(publications)
        points.reach("forwarded")
        confirmed = [one.delivery for one, answer in zip(due, answers, strict=True) if answer is None]
        if confirmed:
            await self.subscription.ack(confirmed)
        unreached = [
            one.delivery for one, answer in zip(due, answers, strict=True) if isinstance(answer, BrokerUnavailable)
        ]
        if unreached:
            await self.subscription.nack(unreached, requeue=True)
        return [
            one
            for one, answer in zip(due, answers, strict=True)
            if answer is not None and not isinstance(answer, BrokerUnavailable)
        ]

    async def _wanted(self, due: Sequence[Due], now: float) -> list[Due]:
        """Decide which of these are sent; those that were cancelled are acked. Waits while the database is away."""
        ids = [one.target.message.message_id or "" for one in due]
        fates = await self._database.write(lambda connection: self._decide(connection, ids, now))
        points.reach("decided")
        wanted: list[Due] = []
        cancelled: list[Delivery] = []
        for one, event_id in zip(due, ids, strict=True):
            fate = fates.get(event_id)
            if fate is Fate.CANCELLED:
                cancelled.append(one.delivery)
            elif fate is None and now - one.when > delayed.KEEP_OPEN:
                self._unreadable(
                    self.subscription, one.delivery, "It is so late that nobody knows if it was cancelled."
                )
            else:
                if fate is None:
                    logger.warning(
                        "delayed message %s is not in this database; was it published with another?", event_id
                    )
                wanted.append(one)
        if cancelled:
            logger.info("%d delayed messages were cancelled", len(cancelled))
            await self.subscription.ack(cancelled)
        return wanted

    def _decide(self, connection: Connection, ids: Sequence[str], now: float) -> dict[str, Fate]:
        if now - self._pruned > PRUNE_INTERVAL:
            self._pruned = now
            delayed.prune(connection, now)
        return delayed.send(connection, ids, now)

    async def idle(self) -> None:
        """Wait until nothing is in hand."""
        await self._idle.wait()


def _may_be_cancelled(one: Due) -> bool:
    message = one.target.message
    return delay.cancellable(message) and message.message_id is not None and not flaw(message.message_id)
