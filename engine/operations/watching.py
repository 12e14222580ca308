"""Watching the fleet: asking database and broker again and again, gently, for a picture that is always the newest."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic

from engine.brokers.base import Broker
from engine.brokers.rabbitmq.totals import Total
from engine.operations.connecting import Doors
from engine.operations.fleet import Facts, Fleet, Meters, Seen, broker_queues, picture, read_facts, with_partitions
from engine.operations.workers import WorkerState, states

#: Seconds after which a queue, a dead-letter queue, and one of those that delays wait in is asked for again.
QUEUE_PERIOD, LETTERS_PERIOD, DELAYS_PERIOD = 1.0, 3.0, 10.0
#: And one that was not there: RabbitMQ closes the channel with that answer.
MISSING_PERIOD = 5.0
#: Queues asked for in one turn.
MOST = 48


class Watch:
    """What is known so far. `look` and `listen` read, `picture` puts together; nothing is changed anywhere."""

    def __init__(self, app: str) -> None:
        self.app = app
        self.meters = Meters()
        self._facts: Facts | None = None
        self._alive: Sequence[WorkerState] = ()
        self._seen: dict[str, Seen] = {}
        self._rota = Rota()
        #: What the last look at the database and at the broker took, in seconds.
        self.database_took = 0.0
        self.broker_took = 0.0

    async def look(self, doors: Doors, now: float) -> None:
        """Read the database. Raises `DatabaseUnavailable`."""
        begun = monotonic()
        facts = await doors.database.read(lambda connection: read_facts(connection, self.app, now))
        self._alive = states(facts.workers, facts.stats, doors.liveness.alive, now)
        self._facts = facts
        self.database_took = monotonic() - begun
        self.meters.feed(facts, with_partitions(self._seen, facts.partitions))

    async def listen(self, broker: Broker, now: float) -> None:
        """Ask the broker for the depths that are due. Raises `BrokerUnavailable`."""
        if self._facts is None:
            return
        names, letters, delays = broker_queues(self.app, self._facts.declared)
        periods = {
            **dict.fromkeys((*names, *self._facts.partitions), QUEUE_PERIOD),
            **dict.fromkeys(letters, LETTERS_PERIOD),
            **dict.fromkeys(delays, DELAYS_PERIOD),
        }
        for name in periods.keys() & self._missing():
            periods[name] = max(periods[name], MISSING_PERIOD)
        due = self._rota.due(periods, now, MOST)
        if not due:
            return
        begun = monotonic()
        depths = await broker.depths(due)
        self.broker_took = monotonic() - begun
        for name in due:
            before = self._seen.get(name)
            self._seen[name] = Seen(now, depths.get(name), None if before is None else before.unacked)
        self._rota.asked(due, now)

    def _missing(self) -> set[str]:
        return {name for name, seen in self._seen.items() if seen.depth is None}

    def told(self, totals: Mapping[str, Total], now: float) -> None:
        """Take note of what was asked for over HTTP. Passive counts go on: only they tell of consumers for certain."""
        for name, seen in self._seen.items():
            total = totals.get(name)
            if total is not None and seen.depth is not None:
                self._seen[name] = Seen(now, seen.depth._replace(ready=total.ready), total.unacked)

    def picture(self, now: float | None = None) -> Fleet | None:
        """The newest picture; None before the database was read."""
        if self._facts is None:
            return None
        seen = with_partitions(self._seen, self._facts.partitions)
        return picture(self._facts, self._alive, seen, self.meters, self.app, time.time() if now is None else now)


class Rota:
    """Which queues to ask for next: those that have waited longest beyond their period."""

    def __init__(self) -> None:
        self._asked: dict[str, float] = {}

    def due(self, periods: Mapping[str, float], now: float, most: int) -> list[str]:
        """At most so many names whose period is over, the most overdue first. Time in seconds."""
        self._asked = {name: at for name, at in self._asked.items() if name in periods}
        waited = {name: (now - self._asked.get(name, float("-inf"))) / period for name, period in periods.items()}
        ready = [name for name in periods if waited[name] >= 0.9]  # a timer is never exact
        return sorted(ready, key=lambda name: -waited[name])[:most]

    def asked(self, names: Iterable[str], now: float) -> None:
        """These were asked for at this time."""
        self._asked.update(dict.fromkeys(names, now))
