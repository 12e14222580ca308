"""What workers report of themselves: that they are there, what they counted, which queues they declared."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, select, update

from engine.model.stats import HandlerStats, Histogram
from engine.model.subjects import Role
from engine.model.topology import topic_matches
from engine.storage import tables
from engine.storage.statements import upsert

_workers = tables.workers
_stats = tables.stats
_queues = tables.queues

#: Who owns the queue of the journal, in the place of a handler's name.
JOURNAL = "(journal)"

#: The role of a partition of a handler's queue (see engine/model/partition.py).
PARTITION = "partition"

#: Seconds after its last beat from which a worker is not taken for a rival.
SILENT = 15.0
#: "WRQU"
_ADVISORY_LOCK = 0x57525155

_COUNTERS = ("handled", "failed", "retried", "duplicates", "stale", "parked", "dead", "in_flight")


class Worker(NamedTuple):
    """A worker as it last reported itself. `beat` is when: for people, never a proof of life or death.

    `state` is the worker's own word (starting, running, draining, stopped); `info` is whatever
    else it tells, as JSON values: host, pid, handlers.
    """

    id: str
    app: str
    version: str
    state: str
    started: float
    beat: float
    info: Mapping[str, Any]


class Stats(NamedTuple):
    """What a worker counted on one of its queues since it started."""

    worker: str
    queue: str
    handler: str
    updated: float
    counts: HandlerStats


class DeclaredQueue(NamedTuple):
    """A queue that some worker of the application declared, and when first and last.

    `patterns` are bound to the exchange; for a queue of commands or queries, which `role` says, they are the types
    that it takes.
    """

    queue: str
    app: str
    handler: str
    patterns: tuple[str, ...]
    first_declared: float
    last_declared: float
    role: str = Role.EVENT

    def wants(self, routing_key: str) -> bool:
        """Whether it is bound for such events, as far as its patterns tell."""
        return self.role == Role.EVENT and any(topic_matches(pattern, routing_key) for pattern in self.patterns)


def register(connection: Connection, worker: Worker) -> None:
    """Write a worker that starts, or all that changed about it."""
    row = {**worker._asdict(), "info": json.dumps(worker.info)}
    upsert(connection, _workers, [row], key=["id"], change=["app", "version", "state", "started", "beat", "info"])


def beat(connection: Connection, worker: str, *, state: str, now: float) -> bool:
    """Report a worker's state; False when it is not registered (any more)."""
    values = {"state": state, "beat": now}
    return connection.execute(update(_workers).where(_workers.c.id == worker).values(values)).rowcount > 0


def tell(connection: Connection, worker: str, info: Mapping[str, Any]) -> None:
    """Report what else a worker tells of itself."""
    connection.execute(update(_workers).where(_workers.c.id == worker).values(info=json.dumps(info)))


def stop(connection: Connection, worker: str, *, now: float) -> None:
    """Report that a worker ended in good order."""
    beat(connection, worker, state="stopped", now=now)


def list_workers(connection: Connection) -> list[Worker]:
    """All workers that are known, the oldest first."""
    rows = connection.execute(select(_workers).order_by(_workers.c.started, _workers.c.id))
    return [
        Worker(row.id, row.app, row.version, row.state, row.started, row.beat, json.loads(row.info)) for row in rows
    ]


def remove(connection: Connection, worker: str) -> None:
    """Forget a worker and its counters."""
    connection.execute(delete(_stats).where(_stats.c.worker == worker))
    connection.execute(delete(_workers).where(_workers.c.id == worker))


def save_stats(connection: Connection, stats: Sequence[Stats]) -> None:
    """Write the counters of a worker's queues over those written before."""
    rows = [
        {
            "worker": one.worker,
            "queue": one.queue,
            "handler": one.handler,
            "updated": one.updated,
            "latency": json.dumps(one.counts.latency.counts, separators=(",", ":")),
            **{name: getattr(one.counts, name) for name in _COUNTERS},
        }
        for one in stats
    ]
    upsert(
        connection, _stats, rows, key=["worker", "queue"], change=["handler", "updated", "latency", *_COUNTERS]
    )  # fmt: skip


def list_stats(connection: Connection, *, queue: str | None = None) -> list[Stats]:
    """The counters of all workers, or those on one queue; add them up with `engine.model.stats.total`."""
    statement = select(_stats).order_by(_stats.c.queue, _stats.c.worker)
    if queue is not None:
        statement = statement.where(_stats.c.queue == queue)
    return [
        Stats(
            row.worker,
            row.queue,
            row.handler,
            row.updated,
            HandlerStats(
                **{name: getattr(row, name) for name in _COUNTERS}, latency=Histogram(json.loads(row.latency))
            ),
        )
        for row in connection.execute(statement)
    ]


def declare_queues(connection: Connection, queues: Sequence[DeclaredQueue]) -> None:
    """Record queues that were declared; when they were first declared stays."""
    rows = [{**queue._asdict(), "patterns": _dump(queue)} for queue in queues]
    for row in rows:
        del row["role"]
    upsert(connection, _queues, rows, key=["queue"], change=["app", "handler", "patterns", "last_declared"])


def list_queues(connection: Connection, *, app: str | None = None, partitions: bool = False) -> list[DeclaredQueue]:
    """The queues that were ever declared and not forgotten, by name; with `partitions` also those."""
    statement = select(_queues).order_by(_queues.c.queue)
    if app is not None:
        statement = statement.where(_queues.c.app == app)
    found = [_declared(row) for row in connection.execute(statement)]
    return found if partitions else [queue for queue in found if queue.role != PARTITION]


def _dump(queue: DeclaredQueue) -> str:
    return json.dumps(queue.patterns if queue.role == Role.EVENT else {queue.role: queue.patterns})


def _declared(row: Any) -> DeclaredQueue:
    found = json.loads(row.patterns)
    ((role, patterns),) = found.items() if isinstance(found, dict) else ((Role.EVENT, found),)
    return DeclaredQueue(
        row.queue, row.app, row.handler, tuple(patterns), row.first_declared, row.last_declared, str(role)
    )


def routes(connection: Connection) -> dict[str, str]:
    """The queue that takes each type of commands and queries: of several the one that was declared last."""
    asked = [queue for queue in list_queues(connection) if queue.role != Role.EVENT]
    asked.sort(key=lambda queue: queue.last_declared)
    return {kind: queue.queue for queue in asked for kind in queue.patterns}


class Rival(NamedTuple):
    """A worker that takes the same commands from another queue."""

    kind: str
    queue: DeclaredQueue
    worker: str


def find_rival(
    connection: Connection, wanted: Sequence[DeclaredQueue], alive: Callable[[str], bool], now: float
) -> Rival | None:
    """A living worker that takes commands or queries of a wanted queue from another one; None where there is none.

    Take the turn of a declaration first (`announce`), so that of two workers that start at once one sees the other.
    """
    kinds = {kind: queue.queue for queue in wanted if queue.role != Role.EVENT for kind in queue.patterns}
    if not kinds:
        return None
    others = [queue for queue in list_queues(connection) if queue.role != Role.EVENT]
    rivals = {
        other.queue: (kind, other)
        for other in others
        for kind in other.patterns
        if kinds.get(kind, other.queue) != other.queue
    }
    for worker in list_workers(connection) if rivals else ():
        # A death is proven slowly on PostgreSQL: who has not beaten for long is no reason not to start.
        if worker.state == "stopped" or now - worker.beat > SILENT or not alive(worker.id):
            continue
        for queue in worker.info.get("handlers", ()):
            if queue in rivals:
                return Rival(*rivals[queue], worker.id)
    return None


def announce(connection: Connection) -> None:
    """Be the only transaction that declares queues, until it ends. On SQLite there is one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")


def forget_queue(connection: Connection, queue: str) -> None:
    """Take a queue off the list, once it is deleted on the broker."""
    connection.execute(delete(_queues).where(_queues.c.queue == queue))
