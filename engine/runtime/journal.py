"""The journal: events that somebody else publishes go into the log, where patterns of the setting ask for them.

Their queue is bound to the events exchange. What is taken from it is appended in groups and acked
after the commit; what the log has already, such as what handlers of ours emitted, changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from engine.brokers.base import Broker, Subscription
from engine.errors import DecodingError
from engine.model import headers as names
from engine.model import record as transitions
from engine.model.codec import Limits, decode
from engine.model.message import Delivery
from engine.model.record import State
from engine.model.topology import journal_name, topic_matches
from engine.runtime import clock
from engine.runtime.acks import Acker
from engine.runtime.ids import new_id
from engine.runtime.intake import MOST_RUNS, routed_by
from engine.storage import event_log, records
from engine.storage.database import Database
from engine.storage.event_log import Entry, Origin
from engine.storage.stored import SHORT, plain

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger("warren.journal")

#: Events in hand at a time.
PREFETCH = 1024


class Taken(NamedTuple):
    """An event on its way into the log; with a `run` an operator sent it here once more."""

    delivery: Delivery
    entry: Entry
    run: int


class Journal:
    """Consumes the journal's queue. `unreadable` makes a failure of what cannot be logged, and acks it."""

    name = "journal"

    def __init__(
        self,
        broker: Broker,
        database: Database,
        *,
        app: str,
        patterns: Sequence[str],
        acker: Acker,
        limits: Limits,
        unreadable: Callable[[Subscription, Delivery, str], None],
    ) -> None:
        self.queue = journal_name(app)
        self.subscription: Subscription
        #: Events that were logged, and those that the log had already, since the worker began.
        self.logged = self.known = 0
        self._broker = broker
        self._patterns = patterns
        self._acker = acker
        self._limits = limits
        self._unreadable = unreadable
        self._inlet = database.writer.add(self)
        #: Told when events were logged.
        self.grown: Callable[[], None] | None = None
        self._early: list[Delivery] | None = []
        self._open = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self) -> None:
        """Consume the queue."""
        self.subscription = await self._broker.consume(self.queue, prefetch=PREFETCH, receive=self._receive)
        early, self._early = self._early, None
        for delivery in early or ():
            self._take(delivery)

    def _receive(self, delivery: Delivery) -> None:
        if self._early is not None:  # deliveries may come before `consume` has returned what acks them
            self._early.append(delivery)
        else:
            self._take(delivery)

    def _take(self, delivery: Delivery) -> None:
        message = delivery.message
        key = routed_by(message, delivery.routing_key)
        if not any(topic_matches(pattern, key) for pattern in self._patterns):
            # A binding of patterns that were taken out of the setting: nobody unbinds them.
            self._acker.put(self.subscription, [delivery])
            return
        try:
            taken = self._read(delivery, key)
        except DecodingError as error:
            self._unreadable(self.subscription, delivery, error.message)
            return
        self._open += 1
        self._idle.clear()
        self._inlet.put(taken)

    def _read(self, delivery: Delivery, key: str) -> Taken:
        if delivery.defect is not None:
            raise DecodingError(delivery.defect)
        message = delivery.message
        envelope = decode(message, key, self._limits)
        event_id = envelope.id or new_id()
        run = names.read_int(message.headers, names.RUN, 0, 0, MOST_RUNS)
        exchange = names.read_str(message.headers, names.EXCHANGE) if run else delivery.exchange
        entry = Entry(
            event_id=event_id,
            event_type=envelope.type,
            aggregate_type=envelope.aggregate_type,
            aggregate_id=envelope.aggregate_id,
            version=None,  # a stranger never writes an aggregate's history
            origin=Origin.JOURNALLED,
            queue="",
            source=envelope.source,
            correlation_id=envelope.correlation_id or event_id,
            causation_id=envelope.causation_id,
            exchange=plain(exchange, SHORT),
            routing_key=plain(key, SHORT),
            time=envelope.timestamp.timestamp() if envelope.timestamp is not None else clock.now(),
            due=None,
            message=replace(message, headers=names.clean(message.headers, ours=True)),
        )
        return Taken(delivery, entry, run)

    def apply(self, connection: Connection, items: Sequence[Taken]) -> Sequence[int]:
        """Append the events. The record of one that an operator sent again is done."""
        now = clock.now()
        new = event_log.append(connection, [item.entry for item in items], now=now)
        again = {(self.queue, item.entry.event_id) for item in items if item.run}
        if again:
            found = records.fetch(connection, sorted(again), lock=True).values()
            waiting = [record for record in found if record.state is State.WAITING]
            records.put(connection, [transitions.finish(record, now) for record in waiting])
        return [new, *[0] * (len(items) - 1)]

    def done(self, items: Sequence[Taken], results: Sequence[int]) -> None:
        """Ack what is in the log now."""
        new = sum(results)
        self.logged += new
        if new and self.grown is not None:
            self.grown()
        self.known += len(items) - new
        self._acker.put(self.subscription, [item.delivery for item in items])
        self._let_go(len(items))

    def failed(self, item: Taken, error: Exception) -> None:
        """What the database refuses, by itself, is a failure."""
        logger.error("an event of the journal cannot be written: %s", error)
        self._unreadable(self.subscription, item.delivery, f"The log refuses it: {type(error).__name__}.")
        self._let_go(1)

    def _let_go(self, number: int) -> None:
        self._open -= number
        if not self._open:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until nothing is in hand."""
        await self._idle.wait()
