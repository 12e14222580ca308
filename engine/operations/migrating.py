"""Making a queue anew with other arguments, without losing what is in it.

RabbitMQ cannot change the arguments of a queue: it is deleted and declared again. Meanwhile
its messages are in two queues beside it:

    <queue>.migrating   what waited in the old one, to be moved back into the new one
    <queue>.bridge      bound as the queue is, while that is missing: what is published meanwhile

Each step is safe to repeat, and what is there says which step is next. So what was killed in
between goes on by being called again. For moments an event is in both the queue and the bridge:
its id tells the second copy. No worker may run meanwhile, because retries come by the queue's name.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from engine.brokers.base import Broker, Depth
from engine.errors import BrokerError, UsageError
from engine.model.topology import NO_DELIVERY_LIMIT, Arguments, Binding, Queue, Topology, is_stream
from engine.operations.moving import GROUP, ROUNDS, Moved, keep_all, pump
from engine.operations.operator import Operator
from engine.operations.workers import living
from engine.operations.writing import write
from engine.storage import audit
from engine.storage.database import Database

#: Seconds in which what was routed before a binding was made is in its queue.
SETTLING = 0.5

_BESIDE: Arguments = {"x-queue-type": "quorum", "x-delivery-limit": NO_DELIVERY_LIMIT}


class Plan(NamedTuple):
    """What a migration would do. `waiting` are messages in the queue, `beside` those of a migration that was cut off."""

    queue: str
    detail: str
    waiting: int
    beside: int

    @property
    def needed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.detail or self.beside)


def store_name(queue: str) -> str:
    """Where the messages of a queue are while it is made anew."""
    return f"{queue}.migrating"


def bridge_name(queue: str) -> str:
    """Where events go while the queue is missing."""
    return f"{queue}.bridge"


def part(topology: Topology, queue: str) -> Topology:
    """The queue, its bindings, and their exchanges. Raises `UsageError` for a queue that nobody asks for."""
    queues = tuple(each for each in topology.queues if each.name == queue)
    if not queues:
        raise UsageError(
            f"no handler here asks for the queue {queue}", hint="`warren topology show --all` lists what they ask for."
        )
    if is_stream(queues[0]):
        raise UsageError(
            f"{queue} is a stream: what is in it cannot be moved", hint="`warren topology diff` says what can be done."
        )
    bindings = tuple(each for each in topology.bindings if each.queue == queue)
    sources = {each.exchange for each in bindings}
    return Topology(tuple(each for each in topology.exchanges if each.name in sources), queues, bindings)


async def plan(database: Database, broker: Broker, app: str, wanted: Topology, queue: str) -> Plan:
    """What there is to do. Raises `UsageError` where it cannot be done now."""
    mine = part(wanted, queue)
    alive = await living(database, app)
    if alive:
        raise UsageError(
            f"{len(alive)} workers of {app} are alive; one of them could send a retry into the queue while it is deleted",
            hint="Stop them, migrate, and start them again. Events that are published meanwhile are kept.",
        )
    differences = await broker.differences(Topology(queues=mine.queues))
    depths = await broker.depths([queue, store_name(queue), bridge_name(queue)])
    there = depths[queue]
    if there is not None and there.consumers:
        raise UsageError(f"{queue} has {there.consumers} consumers", hint="Stop them first.")
    leftovers = [depths[store_name(queue)], depths[bridge_name(queue)]]
    detail = "; ".join(difference.detail for difference in differences)
    if any(depth is not None for depth in leftovers) and not detail:
        detail = "an earlier migration was cut off"
    return Plan(queue, detail, _ready(there), sum(map(_ready, leftovers)))


async def migrate(
    database: Database,
    broker: Broker,
    planned: Plan,
    wanted: Topology,
    *,
    operator: Operator,
    why: str,
    advance: Callable[[int], None] = lambda _: None,
) -> Moved:
    """Make the queue anew; what was moved back into it. Call it again when it was interrupted. Raises `ReadOnly`."""
    operator.allow("migrate a queue")
    queue = planned.queue
    outcome, moved = "interrupted", Moved()
    try:
        moved = await _migrate(broker, queue, part(wanted, queue), advance)
        outcome = "done"
    finally:
        entry = audit.Entry(
            time.time(),
            operator.who,
            "migrate",
            why,
            {"queue": queue, "difference": planned.detail},
            {"state": outcome, **moved._asdict()},
        )
        await write(database, partial(audit.append, entry=entry))
    return moved


async def _migrate(broker: Broker, queue: str, mine: Topology, advance: Callable[[int], None]) -> Moved:
    store, bridge = store_name(queue), bridge_name(queue)
    await _declare_beside(broker, store, ())
    differences = await broker.differences(Topology(queues=mine.queues))
    if any(difference.problem == "mismatch" for difference in differences):
        await _all(broker, queue, store, advance)
        await _declare_beside(broker, bridge, mine.bindings, mine)
        await asyncio.sleep(SETTLING)
        # What comes from now on is in the bridge, too: only what is there now must be moved.
        await _some(broker, queue, store, advance)
        await broker.delete_queue(queue)
    await broker.declare(mine)
    moved = Moved()
    if (await broker.depths([bridge]))[bridge] is not None:
        await asyncio.sleep(SETTLING)
        moved = await _some(broker, bridge, queue, advance)
        await broker.delete_queue(bridge)
    back = await _all(broker, store, queue, advance)
    await broker.delete_queue(store)
    return Moved(moved.moved + back.moved, 0, 0)


async def _declare_beside(
    broker: Broker, name: str, bindings: tuple[Binding, ...], mine: Topology | None = None
) -> None:
    exchanges = mine.exchanges if mine is not None else ()
    bound = tuple(Binding(each.exchange, name, each.pattern) for each in bindings)
    await broker.declare(Topology(exchanges, (Queue(name, _BESIDE),), bound))


async def _all(broker: Broker, source: str, target: str, advance: Callable[[int], None]) -> Moved:
    """Move until few come at a time."""
    total = Moved()
    for _ in range(ROUNDS):
        done = await _some(broker, source, target, advance)
        total = Moved(total.moved + done.moved)
        if done.moved < GROUP:
            break
    return total


async def _some(broker: Broker, source: str, target: str, advance: Callable[[int], None]) -> Moved:
    """Move what is there now. Raises `BrokerError` where a message cannot be read, and so not be moved."""
    depth = (await broker.depths([source]))[source]
    done = await pump(broker, source, target, keep_all, most=_ready(depth), advance=advance) if depth else Moved()
    if done.left:
        raise BrokerError(
            f"{done.left} messages of {source} have headers that cannot be read, and cannot be moved whole",
            hint=f"Take them off by another tool; those moved so far are in {target}. Then call this again.",
        )
    return done


def _ready(depth: Depth | None) -> int:
    return 0 if depth is None else depth.ready
