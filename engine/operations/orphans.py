"""Orphans: queues that a handler once declared and that none owns any more. Events still flow into them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.brokers.base import Broker, Depth
from engine.errors import UsageError
from engine.model.handler import HandlerSpec
from engine.model.partition import is_partition, partition_names, partitioned
from engine.model.topology import STREAM_SUFFIX, dlq_name, journal_name
from engine.operations.operator import Operator
from engine.operations.workers import living
from engine.operations.writing import write
from engine.settings import Kept
from engine.storage import audit, pauses, workers
from engine.storage.database import Database
from engine.storage.workers import JOURNAL, DeclaredQueue, Worker

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Orphan(NamedTuple):
    """A queue without a handler: what waits in it and in its dead-letter queue, and whose it may be now."""

    queue: str
    handler: str
    ready: int
    dead_letters: int
    heir: str | None

    @property
    def advice(self) -> str:
        """The commands that put it right."""
        if is_partition(self.queue):
            return (
                f"It is a partition that {self.handler} has no more. Move what waits in it back to where it is routed anew: "
                f"`warren topology move {self.queue} {partitioned(self.queue)}`. Then: `warren topology delete {self.queue}`."
            )
        if self.handler == JOURNAL:
            return (
                f"Nobody takes from it: the setting `journal` names no patterns here, or `journal_to` is stream. Set them otherwise until it is empty, "
                f"or delete it: `warren topology delete {self.queue}`."
            )
        return (
            f"It was declared for {self.handler}. If the handler was renamed: `warren topology move {self.queue} "
            f'{self.heir or "NEW"}`, or give it queue="{self.queue}". Then, or if it is gone: '
            f"`warren topology delete {self.queue}`."
        )


def find(
    declared: Sequence[DeclaredQueue],
    owned: Mapping[str, Collection[str]],
    depths: Mapping[str, Depth | None],
) -> list[Orphan]:
    """The orphans among the declared queues. `owned` are the queues that handlers own, with their patterns.

    One that somebody consumes is no orphan: another program of the application does.
    """
    orphans: list[Orphan] = []
    for queue in declared:
        depth = depths.get(queue.queue)
        if queue.queue in owned or depth is None or depth.consumers:
            continue
        letters = depths.get(dlq_name(queue.queue))
        orphans.append(
            Orphan(
                queue.queue, queue.handler, depth.ready, 0 if letters is None else letters.ready, _heir(queue, owned)
            )
        )
    return orphans


def _heir(orphan: DeclaredQueue, owned: Mapping[str, Collection[str]]) -> str | None:
    """The queue of the handler that took its events over, as far as names and patterns tell."""
    if is_partition(orphan.queue):
        return partitioned(orphan.queue)
    same = [queue for queue, patterns in owned.items() if set(patterns) & set(orphan.patterns)]
    near = get_close_matches(orphan.queue, same, n=1, cutoff=0.0)
    return near[0] if near else None


def owned_by(
    app: str,
    specs: Sequence[HandlerSpec],
    alive: Sequence[Worker],
    declared: Sequence[DeclaredQueue],
    journal: Sequence[str] = (),
    stream: Kept | None = None,
) -> dict[str, tuple[str, ...]]:
    """The queues of these handlers and of living workers, with their patterns; `journal` are those of the setting.

    With `stream` the journal does not go into its queue.
    """
    patterns = {queue.queue: queue.patterns for queue in declared}
    owned = {queue: patterns.get(queue, ()) for worker in alive for queue in worker.info.get("handlers", ())}
    partitions = [each for worker in alive for each in worker.info.get("partitions", {}).items()]
    partitions += [(spec.queue_for(app), spec.partitions) for spec in specs]
    for queue, count in partitions:
        owned.update(dict.fromkeys(partition_names(queue, count), ()))
    if journal and stream is None:
        owned[journal_name(app)] = tuple(journal)
    return {**owned, **{spec.queue_for(app): tuple(spec.patterns) for spec in specs}}


async def look(
    database: Database,
    broker: Broker,
    app: str,
    specs: Sequence[HandlerSpec],
    journal: Sequence[str] = (),
    stream: Kept | None = None,
) -> list[Orphan]:
    """The orphans of an application. Changes nothing."""
    ids = frozenset(await living(database, app))

    def read(connection: Connection) -> tuple[list[DeclaredQueue], list[Worker]]:
        alive = [worker for worker in workers.list_workers(connection) if worker.id in ids]
        return workers.list_queues(connection, app=app, partitions=True), alive

    declared, alive = await database.read(read)
    names = [queue.queue for queue in declared]
    depths = await broker.depths([*names, *map(dlq_name, names)])
    return find(declared, owned_by(app, specs, alive, declared, journal, stream), depths)


class Deletion(NamedTuple):
    """What a deletion would lose: messages of the queue, and of its dead-letter queue."""

    queue: str
    ready: int
    dead_letters: int

    @property
    def lost(self) -> int:
        """Messages in all."""
        return self.ready + self.dead_letters


async def plan_deletion(broker: Broker, queue: str) -> Deletion:
    """What deleting it would lose. Raises `UsageError` where it is missing or consumed."""
    depths = await broker.depths([queue, dlq_name(queue)])
    depth, letters = depths[queue], depths[dlq_name(queue)]
    if depth is None and letters is None:
        raise UsageError(f"there is no queue {queue} on the broker", hint="`warren topology diff` names the orphans.")
    if depth is not None and depth.consumers:
        raise UsageError(f"{queue} has {depth.consumers} consumers", hint="Stop its workers first.")
    if depth is not None and queue.endswith(STREAM_SUFFIX):
        span = await broker.span(queue)  # RabbitMQ tells the depth of a stream late
        return Deletion(queue, span.next - span.first, 0)
    return Deletion(queue, 0 if depth is None else depth.ready, 0 if letters is None else letters.ready)


async def delete(database: Database, broker: Broker, planned: Deletion, *, operator: Operator, why: str) -> int:
    """Delete the queue and its dead-letter queue, and forget that it was declared; how many messages were lost.

    Raises `UsageError` when there are more messages by now than the plan says, and `ReadOnly`.
    """
    operator.allow("delete queues")
    now = await plan_deletion(broker, planned.queue)
    if now.lost > planned.lost:
        raise UsageError(
            f"{planned.queue} holds {now.lost:,} messages by now, not {planned.lost:,}", hint="Look again, then decide."
        )
    lost = await broker.delete_queue(planned.queue)
    if planned.queue.endswith(STREAM_SUFFIX):
        lost = now.lost
    elif not planned.queue.endswith(".dlq"):
        lost += await broker.delete_queue(dlq_name(planned.queue))
    entry = audit.Entry(time.time(), operator.who, "delete", why, {"queue": planned.queue}, {"lost": lost})
    await write(database, partial(_forget, queue=planned.queue, entry=entry))
    return lost


def _forget(connection: Connection, *, queue: str, entry: audit.Entry) -> None:
    workers.forget_queue(connection, queue)
    pauses.resume(connection, queue)
    pauses.close_circuit(connection, queue)
    audit.append(connection, entry)


def as_dict(orphan: Orphan) -> dict[str, Any]:
    """An orphan for programs: keys are stable."""
    return {**orphan._asdict(), "advice": orphan.advice}
