"""The fleet at one moment: queues, workers, the outbox. Put together from what was read; nothing is asked here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from engine.brokers.base import Depth
from engine.model.delay import RUNGS, rung_queue
from engine.model.meter import Age, Meter, Rates, lag
from engine.model.partition import partitioned
from engine.model.topology import dlq_name, due_name
from engine.operations.pausing import Shut
from engine.operations.workers import WorkerState
from engine.runtime.strangers import crowded
from engine.storage import failure_search, held, outbox, pauses, workers
from engine.storage.failures import Status
from engine.storage.pauses import OpenCircuit, Pause
from engine.storage.workers import DeclaredQueue, Stats, Worker

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Outbox(NamedTuple):
    """What is promised and not yet confirmed; `oldest` was written then, in seconds since the epoch."""

    waiting: int
    oldest: float | None


class Facts(NamedTuple):
    """What the database says, read in one transaction. `counted`: when each queue's counters were last written."""

    at: float
    workers: Sequence[Worker]
    stats: Sequence[Stats]
    declared: Sequence[DeclaredQueue]
    shut: Shut
    dead: Mapping[str, int]
    outbox: Outbox
    partitions: Sequence[str] = ()
    held: Mapping[str, int] = {}


class Seen(NamedTuple):
    """A depth as the broker told it, and when. `depth` is None where the queue is not there; `unacked` where not told."""

    at: float
    depth: Depth | None
    unacked: int | None = None


class QueueFigures(NamedTuple):
    """One handler's queue. What is unknown is None; times in seconds, rates in messages a second.

    `ready` and `consumers` are of the moment `seen`. `unacked` is what the broker says is out with consumers, where it
    can be asked, else what workers have in hand. `held` wait behind failures, in a strict order. `missing`: it is not on the broker. `lag`: how long what waits will
    take at the present rate, infinite when nothing moves.
    """

    name: str
    handler: str
    patterns: tuple[str, ...]
    ready: int | None
    unacked: int
    consumers: int | None
    missing: bool
    seen: float | None
    workers: int
    dead: int
    dead_letters: int | None
    held: int
    paused: Pause | None
    circuit: OpenCircuit | None
    crowded: bool
    rates: Rates
    oldest: Age | None
    lag: float | None
    trend: tuple[float, ...]

    @property
    def state(self) -> str:
        """In a word: `missing`, `paused`, `circuit open`, `no consumer`, or nothing."""
        if self.missing:
            return "missing"
        if self.paused:
            return "paused"
        if self.circuit:
            return "circuit open"
        return "no consumer" if self.consumers == 0 and self.workers == 0 else ""


class Fleet(NamedTuple):
    """All of it. `at`: when the database was read; `delayed`: what waits on the rungs, None while unknown."""

    at: float
    queues: Sequence[QueueFigures]
    workers: Sequence[WorkerState]
    delayed: int | None
    outbox: Outbox
    rates: Rates
    arrived: tuple[float, ...]
    left: tuple[float, ...]
    failed: tuple[float, ...]


def read_facts(connection: Connection, app: str, now: float) -> Facts:
    """Ask the database."""
    every = workers.list_queues(connection, app=app, partitions=True)
    declared = [queue for queue in every if queue.role != workers.PARTITION]
    return Facts(
        now,
        [worker for worker in workers.list_workers(connection) if worker.app == app],
        workers.list_stats(connection),
        declared,
        Shut(pauses.list_pauses(connection), pauses.list_circuits(connection)),
        failure_search.by_queue(connection, Status.OPEN),
        Outbox(outbox.pending(connection), outbox.oldest(connection)),
        [queue.queue for queue in every if queue.role == workers.PARTITION],
        held.counts(connection),
    )


def broker_queues(app: str, declared: Sequence[DeclaredQueue]) -> tuple[list[str], list[str], list[str]]:
    """The names to ask a broker for: the queues, their dead-letter queues, and those that delays wait in."""
    names = [queue.queue for queue in declared]
    return names, [dlq_name(name) for name in names], [*(rung_queue(app, ms) for ms in RUNGS), due_name(app)]


#: Steps of a trend, and seconds in each.
STEPS, STEP = 60, 5.0


class Meters:
    """A meter for each queue, and one for all of them."""

    def __init__(self) -> None:
        self.queues: dict[str, Meter] = {}
        self.all = Meter()

    def feed(self, facts: Facts, seen: Mapping[str, Seen]) -> None:
        """Take note of what was read."""
        names = {queue.queue for queue in facts.declared}
        self.queues = {name: self.queues.get(name) or Meter() for name in sorted(names)}
        waiting_in_all: int | None = 0
        stats = _by_queue(facts.stats)
        for name, meter in self.queues.items():
            mine = stats.get(name, ())
            waiting = _waiting(seen.get(name), mine)  # both fresh, which what HTTP says is not
            waiting_in_all = None if waiting is None or waiting_in_all is None else waiting_in_all + waiting
            counted = max((one.updated for one in mine), default=facts.at)
            meter.feed(facts.at, waiting, {one.worker: one.counts for one in mine}, counted)
        every = {f"{one.worker} {one.queue}": one.counts for one in facts.stats if one.queue in names}
        counted = max((one.updated for one in facts.stats if one.queue in names), default=facts.at)
        self.all.feed(facts.at, waiting_in_all, every, counted)


def picture(
    facts: Facts, alive: Sequence[WorkerState], seen: Mapping[str, Seen], meters: Meters, app: str, now: float
) -> Fleet:
    """The fleet as it is by what was read."""
    living = {state.id for state in alive if state.alive}
    known = [worker for worker in facts.workers if worker.id in living]
    _, _, delays = broker_queues(app, facts.declared)
    waits = [seen[name] for name in delays if name in seen]
    total = meters.all
    stats = _by_queue([one for one in facts.stats if one.worker in living])
    return Fleet(
        facts.at,
        [_figures(each, stats.get(each.queue, ()), facts, known, seen, meters, now) for each in facts.declared],
        alive,
        sum(one.depth.ready for one in waits if one.depth is not None) if waits else None,
        facts.outbox,
        total.rates(),
        *(tuple(total.series(what, now, STEP, STEPS)) for what in ("arrived", "left", "failed")),
    )


def _figures(
    queue: DeclaredQueue,
    stats: Sequence[Stats],
    facts: Facts,
    known: Sequence[Worker],
    seen: Mapping[str, Seen],
    meters: Meters,
    now: float,
) -> QueueFigures:
    name = queue.queue
    told, letters = seen.get(name), seen.get(dlq_name(name))
    depth = None if told is None else told.depth
    in_hand = sum(one.counts.in_flight for one in stats)
    unacked = in_hand if told is None or told.unacked is None else told.unacked
    meter = meters.queues.get(name) or Meter()
    rates = meter.rates()
    return QueueFigures(
        name=name,
        handler=queue.handler,
        patterns=queue.patterns,
        ready=None if depth is None else depth.ready,
        unacked=unacked,
        consumers=None if depth is None else depth.consumers,
        missing=told is not None and depth is None,
        seen=None if told is None else told.at,
        workers=sum(name in worker.info.get("handlers", ()) for worker in known),
        dead=facts.dead.get(name, 0),
        dead_letters=None if letters is None else 0 if letters.depth is None else letters.depth.ready,
        held=facts.held.get(name, 0),
        paused=facts.shut.paused.get(name),
        circuit=facts.shut.circuits.get(name),
        crowded=depth is not None and crowded(depth.consumers, known, name),
        rates=rates,
        oldest=meter.oldest(now),
        lag=lag(None if depth is None else depth.ready + unacked, rates.left),
        trend=tuple(meter.series("left", now, STEP, STEPS)),
    )


def with_partitions(seen: Mapping[str, Seen], partitions: Iterable[str]) -> Mapping[str, Seen]:
    """What waits in partitions, and is out with their consumers, counts to the queue that they are partitions of."""
    whole = dict(seen)
    for name in partitions:
        one, own = seen.get(name), whole.get(partitioned(name))
        if one is None or one.depth is None or own is None or own.depth is None:
            continue
        unacked = None if one.unacked is None or own.unacked is None else own.unacked + one.unacked
        depth = own.depth._replace(ready=own.depth.ready + one.depth.ready)
        whole[partitioned(name)] = Seen(own.at, depth, unacked)
    return whole


def _by_queue(stats: Iterable[Stats]) -> dict[str, list[Stats]]:
    found: dict[str, list[Stats]] = {}
    for one in stats:
        found.setdefault(one.queue, []).append(one)
    return found


def _waiting(seen: Seen | None, stats: Sequence[Stats]) -> int | None:
    """What waits in a queue or is in a worker's hand."""
    if seen is None or seen.depth is None:
        return None
    return seen.depth.ready + sum(one.counts.in_flight for one in stats)
