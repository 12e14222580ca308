"""Where messages go: published, returned, expired and rejected ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.brokers.embedded.catalog import Catalog, QueueInfo
from engine.brokers.embedded.encoding import Row
from engine.brokers.embedded.store import LIMBO, Held, Store
from engine.brokers.embedded.streams import Log
from engine.errors import BrokerError, ExchangeMissing, PublishRefused, Unroutable

#: So many entries expire in one transaction.
EXPIRE_AT_ONCE: Final = 512


class Router:
    """Moves entries between queues. `touched` are the queues that got any; the caller empties it."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog
        self._log = Log(store.connection)
        self.touched: set[int] = set()

    def publish(self, rows: Sequence[tuple[Row, bool]], now: float) -> list[BrokerError | None]:
        """Write messages (with whether each is mandatory) to their queues; why one was not written."""
        lengths: dict[int, int] = {}
        routed: list[tuple[Row, Sequence[QueueInfo]]] = []
        logged: dict[int, list[Row]] = {}
        answers: list[BrokerError | None] = []
        for row, mandatory in rows:
            queues = self._catalog.route(row[0], row[1])
            error = self._refusal(row, queues, lengths) if queues else self._unroutable(row, mandatory)
            answers.append(error)
            if error is not None or not queues:
                continue
            if any(queue.stream is not None for queue in queues):
                for queue in queues:
                    if queue.stream is not None:
                        logged.setdefault(queue.id, []).append(row)
                queues = tuple(queue for queue in queues if queue.stream is None)
                if not queues:
                    continue
            routed.append((row, queues))
            self.touched.update(queue.id for queue in queues)
        for number, entries in logged.items():
            self._log.append(self._catalog.by_id[number], entries, now)
        if routed:
            self._store.add(routed, now)
            self._trim(lengths, now)
        return answers

    def _unroutable(self, row: Row, mandatory: bool) -> BrokerError | None:
        exchange, key = row[0], row[1]
        if not self._catalog.has_exchange(exchange):
            return ExchangeMissing(f"There is no exchange {exchange!r} on the broker.", hint="Declare it first.")
        if not mandatory:
            return None
        where = f"the exchange {exchange!r} knows no queue for {key!r}" if exchange else f"there is no queue {key!r}"
        return Unroutable(f"No queue takes the message: {where}.")

    def _refusal(self, row: Row, queues: Sequence[QueueInfo], lengths: dict[int, int]) -> BrokerError | None:
        """Why bounded queues refuse a message; `lengths` counts those that take it."""
        bounded = [queue for queue in queues if queue.max_length is not None]
        for queue in bounded:
            if queue.id not in lengths:
                lengths[queue.id] = self._store.count(queue.id)
            if queue.rejects and lengths[queue.id] >= (queue.max_length or 0):
                return PublishRefused(
                    f"The queue {queue.name!r} is full: it holds x-max-length = {queue.max_length} messages."
                )
        for queue in bounded:
            lengths[queue.id] += 1
        return None

    def _trim(self, lengths: dict[int, int], now: float) -> None:
        """Queues with `drop-head` let go of their oldest."""
        for number, length in lengths.items():
            queue = self._catalog.by_id[number]
            excess = length - (queue.max_length or 0)
            if excess > 0 and not queue.rejects:
                self.bury(self._store.take_oldest(number, excess), now)

    def expire(self, now: float) -> None:
        """Dead-letter what is over, a group at a time."""
        self.bury(self._store.take_expired(now, EXPIRE_AT_ONCE), now)

    def give_back(self, positions: Sequence[int], now: float) -> None:
        """Entries that are out return to their queues, or are dead-lettered past the delivery limit."""
        back: list[int] = []
        spent: list[int] = []
        for position, number, returns in self._store.returning(positions):
            limit = self._catalog.by_id[number].limit
            if limit is not None and returns >= limit:
                spent.append(position)
            else:
                back.append(position)
                self.touched.add(number)
        if back:
            self._store.put_back(back)
        self.bury(spent, now)

    def bury(self, positions: Sequence[int], now: float) -> None:
        """Dead-letter entries that are out. Without an exchange for that they are dropped.

        One that no queue takes waits in limbo, as with at-least-once dead-lettering on RabbitMQ.
        """
        if not positions:
            return
        dropped: list[Held] = []
        limbo: list[int] = []
        letters: list[tuple[Held, Sequence[QueueInfo], str, str]] = []
        for held, number, published_key in self._store.letters(positions):
            queue = self._catalog.by_id[number]
            exchange = queue.dead_letter_exchange
            if exchange is None:
                dropped.append(held)
                continue
            key = published_key if queue.dead_letter_key is None else queue.dead_letter_key
            targets = self._catalog.route(exchange, key)
            if targets:
                letters.append((held, targets, exchange, key))
                self.touched.update(target.id for target in targets)
            else:
                limbo.append(held.position)
        if dropped:
            self._store.settle(dropped)
        if limbo:
            self._store.move_to_limbo(limbo)
        if letters:
            self._store.forward(letters, now)

    def free_limbo(self, now: float) -> None:
        """Try again where no queue wanted a dead letter: the topology has changed."""
        self.bury(self._store.held_by(LIMBO), now)
