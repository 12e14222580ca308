"""Queues as an operator sees them: what the broker counts, and what the database knows of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.brokers.base import Broker, Depth
from engine.model.delay import RUNGS, rung_queue
from engine.model.handler import HandlerSpec
from engine.model.partition import partition_names, partitioned
from engine.model.topology import dlq_name, due_name
from engine.operations.pausing import Shut, circuit_dict, pause_dict
from engine.runtime.strangers import crowded
from engine.storage import failure_search, held, pauses, workers
from engine.storage.database import Database
from engine.storage.failures import Status
from engine.storage.pauses import OpenCircuit, Pause
from engine.storage.workers import PARTITION, DeclaredQueue

if TYPE_CHECKING:
    from sqlalchemy import Connection


class QueueState(NamedTuple):
    """One handler's queue. `ready` and `consumers` are None where the queue is not on the broker.

    `in_flight` is in the hands of workers, `dead` are open failures, `dead_letters` dead letters
    that no worker has taken into the table yet. `crowded`: more consumers than this database's living
    workers explain, so somebody consumes it against another one. `held` wait behind failures, in a strict order. What waits
    in partitions counts as `ready`.
    """

    name: str
    handler: str
    ready: int | None
    consumers: int | None
    in_flight: int
    dead: int
    dead_letters: int
    paused: Pause | None = None
    circuit: OpenCircuit | None = None
    crowded: bool = False
    held: int = 0

    @property
    def state(self) -> str:
        """In a word: `paused`, `circuit open`, or nothing."""
        return "paused" if self.paused else "circuit open" if self.circuit else ""


class QueueList(NamedTuple):
    """All queues of an application, and how many messages wait on its delay rungs."""

    queues: list[QueueState]
    delayed: int


class _Known(NamedTuple):
    in_flight: Mapping[str, int]
    dead: Mapping[str, int]
    alive: list[workers.Worker]
    shut: Shut
    held: Mapping[str, int]


async def declared(database: Database, app: str, *, partitions: bool = False) -> list[DeclaredQueue]:
    """The queues that workers of this application declared; with `partitions` also those of each."""
    return await database.read(lambda connection: workers.list_queues(connection, app=app, partitions=partitions))


async def list_queues(
    database: Database, broker: Broker, app: str, specs: Sequence[HandlerSpec], alive: Iterable[str]
) -> QueueList:
    """The queues that were declared, and those that the project's handlers will declare. Changes nothing.

    `alive` are the workers whose counters still mean something.
    """
    recorded = await declared(database, app, partitions=True)
    handlers = {queue.queue: queue.handler for queue in recorded if queue.role != PARTITION}
    handlers.update({spec.queue_for(app): spec.name for spec in specs})
    names = sorted(handlers)
    partitions = {queue.queue for queue in recorded if queue.role == PARTITION}
    partitions.update(name for spec in specs for name in partition_names(spec.queue_for(app), spec.partitions))
    rungs = [rung_queue(app, ms) for ms in RUNGS]
    depths = with_partitions(
        await broker.depths([*names, *partitions, *map(dlq_name, names), *rungs, due_name(app)]), partitions
    )
    living = frozenset(alive)
    known = await database.read(lambda connection: _known(connection, names, living))
    states = [_state(name, handlers[name], depths, known) for name in names]
    return QueueList(states, sum(_ready(depths, name) for name in (*rungs, due_name(app))))


def with_partitions(depths: Mapping[str, Depth | None], partitions: Iterable[str]) -> Mapping[str, Depth | None]:
    """The depths, in which what waits in partitions counts to the queue that they are partitions of."""
    whole = dict(depths)
    for name in partitions:
        depth, queue = depths.get(name), partitioned(name)
        if depth is not None and (own := whole.get(queue)) is not None:
            whole[queue] = own._replace(ready=own.ready + depth.ready)
    return whole


def _known(connection: Connection, names: Sequence[str], alive: frozenset[str]) -> _Known:
    in_flight: dict[str, int] = {}
    for stats in workers.list_stats(connection):
        if stats.worker in alive:
            in_flight[stats.queue] = in_flight.get(stats.queue, 0) + stats.counts.in_flight
    dead = dict.fromkeys(names, 0) | failure_search.by_queue(connection, Status.OPEN)
    known = [worker for worker in workers.list_workers(connection) if worker.id in alive]
    shut = Shut(pauses.list_pauses(connection), pauses.list_circuits(connection))
    return _Known(in_flight, dead, known, shut, held.counts(connection))


def _state(name: str, handler: str, depths: Mapping[str, Depth | None], known: _Known) -> QueueState:
    depth = depths.get(name)
    return QueueState(
        name=name,
        handler=handler,
        ready=None if depth is None else depth.ready,
        consumers=None if depth is None else depth.consumers,
        in_flight=known.in_flight.get(name, 0),
        dead=known.dead[name],
        dead_letters=_ready(depths, dlq_name(name)),
        paused=known.shut.paused.get(name),
        circuit=known.shut.circuits.get(name),
        crowded=depth is not None and crowded(depth.consumers, known.alive, name),
        held=known.held.get(name, 0),
    )


def _ready(depths: Mapping[str, Depth | None], name: str) -> int:
    depth = depths.get(name)
    return 0 if depth is None else depth.ready


def as_dict(state: QueueState) -> dict[str, Any]:
    """A queue for programs: keys are stable."""
    return {
        **state._asdict(),
        "state": state.state,
        "paused": pause_dict(state.paused),
        "circuit": circuit_dict(state.circuit),
        "missing": state.ready is None,
    }
