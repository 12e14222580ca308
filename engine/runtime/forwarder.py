"""The due-forwarder: takes what a delay rung let go, and sends it to its target or to the next rung.

A message that may have been cancelled is decided upon in the database, right before it goes to its
target: sent or cancelled, whichever was written first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from engine.brokers.base import Broker, Subscription
from engine.errors import BrokerError, BrokerUnavailable, DecodingError
from engine.model import delay
from engine.model import headers as names
from engine.model.message import Delivery
from engine.model.names import flaw
from engine.model.record import State, finish
from engine.model.topology import due_name
from engine.runtime import clock, points
from engine.runtime.deadletters import DeadLetters
from engine.runtime.refusals import REFUSED_DELAY, Due, Hopeless, decide
from engine.storage import delayed, records
from engine.storage.database import Database
from engine.storage.delayed import Fate

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger("warren.forwarder")

#: Due messages in hand at a time.
PREFETCH = 1024
#: Seconds between two times that old decisions on delayed messages are forgotten.
PRUNE_INTERVAL = 3600.0


class Forwarder:
    """Forwards due messages. What a target refuses goes back on a rung, and holds up no other.

    `letters` makes failures of those that name no target, or one that is gone. `declare_again` is
    told of refusals: it makes what is missing of this worker's own topology.
    """

    def __init__(
        self,
        broker: Broker,
        database: Database,
        app: str,
        letters: DeadLetters,
        *,
        declare_again: Callable[[Iterable[BrokerError]], Awaitable[None]],
    ) -> None:
        self._broker = broker
        self._database = database
        self._app = app
        self._letters = letters
        self._declare_again = declare_again
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
                self._letters.unreadable(self.subscription, delivery, error.message)
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
            await self._refused(refused, now)

    async def _refused(self, refused: Sequence[tuple[Due, BrokerError]], now: float) -> None:
        logger.warning(
            "%d due messages were refused and wait %g s more; the first, for %s: %s",
            len(refused),
            REFUSED_DELAY,
            refused[0][0].target.routing_key,
            refused[0][1].message,
        )
        await self._declare_again(error for _, error in refused)
        later: list[Due] = []
        for due, error in refused:
            answer = decide(due, error, now)
            if isinstance(answer, Hopeless):
                logger.error("delayed message %s became a failure: %s", due.target.message.message_id, answer.detail)
                self._letters.undeliverable(self.subscription, due.delivery, due.target, answer.reason, answer.detail)
            else:
                later.append(answer)
        if again := await self._publish(later, now):
            # Not even a rung takes them: the broker keeps them.
            await self._give_back([due.delivery for due, _ in again])
            await asyncio.sleep(1.0)

    async def _publish(self, due: list[Due], now: float) -> list[tuple[Due, BrokerError]]:
        """Publish each where it goes now, ack what was confirmed, and return what was refused."""
        if not due:
            return []
        publications = [delay.plan(self._app, one.target, one.when, now) for one in due]
        try:
            answers = await self._broker.publish(publications)
        except BrokerError as error:
            answers = [error] * len(publications)
        points.reach("forwarded")
        confirmed: list[Due] = []
        unreached: list[Delivery] = []
        refused: list[tuple[Due, BrokerError]] = []
        for one, answer in zip(due, answers, strict=True):
            if answer is None:
                confirmed.append(one)
            elif isinstance(answer, BrokerUnavailable):
                unreached.append(one.delivery)
            else:
                refused.append((one, answer))
        if redriven := [one.target.message.message_id or "" for one in confirmed if _was_redriven(one, now)]:
            await self._database.write(partial(_finish, due_name(self._app), redriven, now))
        await self._ack([one.delivery for one in confirmed])
        if unreached:
            await self._give_back(unreached)
        return refused

    async def _ack(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            try:
                await self.subscription.ack(deliveries)
            except BrokerError as error:  # they come again, and who handled them knows them
                logger.warning("due messages cannot be acked, they will come again: %s", error.message)

    async def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        try:
            await self.subscription.nack(deliveries, requeue=True)
        except BrokerError as error:
            logger.warning("due messages cannot be given back, they will come again: %s", error.message)

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
                self._letters.unreadable(
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
            await self._ack(cancelled)
        return wanted

    def _decide(self, connection: Connection, ids: Sequence[str], now: float) -> dict[str, Fate]:
        if now - self._pruned > PRUNE_INTERVAL:
            self._pruned = now
            delayed.prune(connection, now)
        return delayed.send(connection, ids, now)

    async def idle(self) -> None:
        """Wait until nothing is in hand."""
        await self._idle.wait()


def _was_redriven(one: Due, now: float) -> bool:
    """Whether it failed as a message of the due queue itself, was redriven, and is at its exchange now."""
    sent = one.when - now <= delay.EARLY
    return sent and one.target.exchange != "" and names.RUN in one.target.message.headers


def _finish(queue: str, event_ids: Sequence[str], now: float, connection: Connection) -> None:
    found = records.fetch(connection, [(queue, event_id) for event_id in event_ids], lock=True)
    records.put(connection, [finish(record, now) for record in found.values() if record.state is State.WAITING])


def _may_be_cancelled(one: Due) -> bool:
    message = one.target.message
    return delay.cancellable(message) and message.message_id is not None and not flaw(message.message_id)
