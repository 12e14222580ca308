"""The dead-letter intake: from every `.dlq` into the failures table, whole, acked after the commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from engine.brokers.base import Broker, Subscription
from engine.errors import DecodingError
from engine.model import headers as names
from engine.model.codec import Limits, decode
from engine.model.deadletter import DeadLetter, fingerprint
from engine.model.message import Delivery, Publication
from engine.model.partition import unwrap
from engine.model.record import Claim, entomb
from engine.model.topology import dlq_name, due_name
from engine.runtime import clock, points
from engine.runtime.acks import Acker
from engine.runtime.ids import new_id
from engine.runtime.intake import MOST_RUNS, body_hash, carried_key, readable_id, routed_by
from engine.runtime.keys import Identity, key_hash
from engine.storage import failures, records
from engine.storage.database import Database
from engine.storage.failures import Failure

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger("warren.deadletters")

#: Dead letters of one queue in hand at a time.
PREFETCH = 100


class Burial(NamedTuple):
    """A dead letter on its way into the table. `ours`: a worker buried it, and its record says so already."""

    subscription: Subscription
    delivery: Delivery
    claim: Claim
    failure: Failure
    ours: bool


class DeadLetters:
    """Consumes the dead-letter queues of some queues, and of the due queue."""

    def __init__(
        self, broker: Broker, database: Database, *, app: str, worker: str, acker: Acker, limits: Limits
    ) -> None:
        self._broker = broker
        self._app = app
        self._worker = worker
        self._acker = acker
        self._limits = limits
        self._identities: Mapping[str, Identity] = {}
        self._inlet = database.writer.add(self)
        self._open = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.subscriptions: list[Subscription] = []

    name = "dead letters"

    async def start(self, queues: Sequence[str], identities: Mapping[str, Identity] | None = None) -> None:
        """Consume the dead-letter queues of these queues; `identities` reads the idempotency keys of some."""
        self._identities = identities or {}
        started = await asyncio.gather(*(self._consume(queue) for queue in (*queues, due_name(self._app))))
        self.subscriptions.extend(started)

    async def _consume(self, queue: str) -> Subscription:
        # Deliveries may come before `consume` has returned the subscription that acks them.
        consuming: asyncio.Future[Subscription] = asyncio.get_running_loop().create_future()

        def receive(delivery: Delivery) -> None:
            consuming.add_done_callback(lambda ready: self._take(ready.result(), delivery, queue, None))

        subscription = await self._broker.consume(dlq_name(queue), prefetch=PREFETCH, receive=receive)
        consuming.set_result(subscription)
        return subscription

    def unreadable(self, subscription: Subscription, delivery: Delivery, reason: str) -> None:
        """A message of ours that cannot be understood becomes a failure, and is acked where it came from."""
        self._take(subscription, delivery, delivery.queue, reason)

    def undeliverable(
        self, subscription: Subscription, delivery: Delivery, target: Publication, reason: str, detail: str
    ) -> None:
        """A due message that cannot get to its target becomes a failure, and is acked where it came from.

        It is one of the queue that it was for; of the due queue where it was for an exchange.
        """
        queue = delivery.queue if target.exchange else target.routing_key
        headers, now = delivery.message.headers, clock.now()
        letter = DeadLetter(
            reason=reason,
            message=detail,
            first_failed=names.read_int(headers, names.FIRST_FAILED, int(now * 1000), 0, int(now * 1000)) / 1000,
            last_failed=now,
            queue=queue,
            exchange=names.read_str(headers, names.EXCHANGE, target.exchange),
            routing_key=names.read_str(headers, names.ROUTING_KEY, target.routing_key),
            fingerprint=fingerprint(reason, queue, ""),
        )
        self._take(subscription, delivery, queue, None, letter)

    def _take(
        self,
        subscription: Subscription,
        delivery: Delivery,
        queue: str,
        defect: str | None,
        letter: DeadLetter | None = None,
    ) -> None:
        self._open += 1
        self._idle.clear()
        self._inlet.put(self._burial(subscription, delivery, queue, defect, letter, clock.now()))

    def _burial(
        self,
        subscription: Subscription,
        delivery: Delivery,
        queue: str,
        defect: str | None,
        given: DeadLetter | None,
        now: float,
    ) -> Burial:
        routed = names.ROUTED_KEY in delivery.message.headers  # the broker dead-lettered it from a partition
        delivery = unwrap(delivery)
        message = delivery.message
        digest = body_hash(message.body)
        told = DeadLetter.from_headers(message.headers) if defect is None and given is None else None
        ours = told is not None
        letter = given or told or DeadLetter.from_broker(queue, message.headers, now)
        if routed and not ours and given is None:
            letter = letter._replace(exchange=delivery.exchange, routing_key=delivery.routing_key)
        event_type, correlation_id = message.type or "", message.correlation_id
        key = carried_key(message.headers)
        try:
            if delivery.defect is not None:
                raise DecodingError(delivery.defect)
            routing_key = routed_by(message, letter.routing_key or delivery.routing_key)
            envelope = decode(message, routing_key, self._limits)
            event_type, correlation_id = envelope.type, envelope.correlation_id
            # A letter of ours has its event id in the properties, also where the body has none.
            event_id = (message.message_id if ours else None) or envelope.id or new_id()
            if key is None and not ours and names.RUN not in message.headers and queue in self._identities:
                _, key = self._identities[queue](envelope, event_id)
        except DecodingError as error:
            event_id = readable_id(message, digest)
            defect = defect or error.message
        if defect and not ours and given is None:
            letter = letter._replace(
                reason="unreadable", message=defect, fingerprint=fingerprint("unreadable", queue, "")
            )
        correlation_id = correlation_id or event_id
        if key is not None:
            event_id, digest = key, key_hash(key)
        claim = Claim(queue, event_id, names.read_int(message.headers, names.RUN, 0, 0, MOST_RUNS), digest)
        failure = Failure(
            queue=queue,
            event_id=event_id,
            run=claim.run or 1,
            body_hash=digest,
            event_type=event_type,
            handler=letter.handler,
            worker=letter.worker or self._worker,
            reason=letter.reason,
            exception=letter.exception,
            message=letter.message,
            traceback=letter.traceback,
            fingerprint=letter.fingerprint,
            attempts=letter.attempts,
            first_failed=letter.first_failed or now,
            last_failed=letter.last_failed or now,
            arrived=now,
            exchange=letter.exchange,
            routing_key=letter.routing_key,
            correlation_id=correlation_id,
            original=replace(message, headers=names.clean(message.headers, ours=True)),
        )
        return Burial(subscription, delivery, claim, failure, ours)

    def apply(self, connection: Connection, items: Sequence[Burial]) -> Sequence[None]:
        """Write the failures; a letter that the broker made also ends the record of its message."""
        now = clock.now()
        found = [burial.failure for burial in items if burial.ours]
        foreign = sorted((burial for burial in items if not burial.ours), key=lambda burial: burial.claim[:2])
        known = records.fetch(connection, [burial.claim[:2] for burial in foreign], lock=True) if foreign else {}
        for burial in foreign:
            key = burial.claim[:2]
            before = known.get(key)
            if before is not None and before.body_hash != burial.claim.body_hash:
                found.append(burial.failure)  # another message under this id: the record is not its own
                continue
            record = entomb(before, burial.claim, self._worker, now)
            if record is not None:
                records.put(connection, [record])
                known[key] = record
                attempts = max(burial.failure.attempts, record.attempts)
                found.append(burial.failure._replace(run=record.run, attempts=attempts))
        failures.add(connection, found)
        return [None] * len(items)

    def done(self, items: Sequence[Burial], results: Sequence[None]) -> None:
        """Ack what is in the table now."""
        points.reach("buried")
        for burial in items:
            self._acker.put(burial.subscription, [burial.delivery])
            self._let_go()

    def failed(self, item: Burial, error: Exception) -> None:
        """A letter that the database refuses stays in its queue, unacked until this worker ends."""
        logger.error("a dead letter of %s cannot be written, it stays in its queue: %s", item.claim.queue, error)
        self._let_go()

    def _let_go(self) -> None:
        self._open -= 1
        if not self._open:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until nothing is in hand."""
        await self._idle.wait()
