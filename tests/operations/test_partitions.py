"""Queues with partitions as an operator sees them: one queue, what waits in it, and partitions that are left over."""

from __future__ import annotations

import time
from functools import partial

from sqlalchemy import Connection

from engine.brokers.base import Broker
from engine.model import headers as names
from engine.model.message import Delivery, Message, Publication
from engine.model.partition import partition_names, unwrap, wrap
from engine.model.record import Record, State
from engine.model.topology import Route, Topology, delay_topology, handler_topology
from engine.operations import moving, orphans
from engine.operations.moving import Moved
from engine.operations.operator import Operator
from engine.operations.queues import list_queues
from engine.runtime.intake import body_hash
from engine.storage import held, records, workers
from engine.storage.database import Database
from engine.storage.held import Waiting
from engine.storage.workers import PARTITION, DeclaredQueue
from tests.storage.test_held_machine import row

QUEUE = "shop.orders.follow"


async def declared(database: Database, broker: Broker, *counts: int) -> None:
    """Workers with so many partitions were there, one after the other."""
    now = time.time()
    await broker.declare(delay_topology("shop"))
    for count in counts:
        topology = handler_topology("shop", [Route(QUEUE, "events", ["order.*"], count)])
        await broker.declare(Topology(topology.exchanges, topology.queues))
    found = [DeclaredQueue(QUEUE, "shop", "follow", ("order.*",), now, now)]
    found += [
        DeclaredQueue(name, "shop", "follow", (), now, now, PARTITION)
        for count in counts
        for name in partition_names(QUEUE, count)
    ]
    await database.write(partial(workers.declare_queues, queues=found))


async def test_what_waits_in_partitions_and_behind_failures_counts(database: Database, broker: Broker) -> None:
    await declared(database, broker, 2)
    where = [QUEUE, *partition_names(QUEUE, 2), partition_names(QUEUE, 2)[1]]
    await broker.publish([Publication("", queue, Message(b"{}")) for queue in where])

    def block(connection: Connection) -> None:
        held.block(connection, [(QUEUE, "o-1", "e-1")], 1.0)
        held.hold(connection, [Waiting(QUEUE, "o-1", f"e-{at}", row(QUEUE, f"e-{at}")) for at in (2, 3)], 1.0)

    await database.write(block)
    (found,) = (await list_queues(database, broker, "shop", [], [])).queues
    assert (found.name, found.ready, found.held) == (QUEUE, 4, 2)


async def test_partitions_of_another_count_are_orphans_and_can_be_emptied(database: Database, broker: Broker) -> None:
    await declared(database, broker, 2, 3)
    first, second = partition_names(QUEUE, 2)
    copy = Message(b'{"a":1}', {names.RUN: 3, "tenant": "t"}, message_id="e-1", type="order.placed")
    await broker.publish([Publication("", first, wrap(Delivery(QUEUE, copy, 1, 0, "events", "order.placed")))])
    record = Record(QUEUE, "e-1", State.WAITING, 3, 2, 3, "dead", body_hash(copy.body), 0, False, 1.0, 1.0)
    await database.write(partial(records.put, records=[record]))

    depths = await broker.depths([QUEUE, *partition_names(QUEUE, 2), *partition_names(QUEUE, 3)])
    everything = await database.read(partial(workers.list_queues, app="shop", partitions=True))
    owned = {QUEUE: ("order.*",), **dict.fromkeys(partition_names(QUEUE, 3), ())}
    left = orphans.find(everything, owned, depths)
    assert [(orphan.queue, orphan.ready, orphan.heir) for orphan in left] == [(first, 1, QUEUE), (second, 0, QUEUE)]
    assert f"`warren topology move {first} {QUEUE}`" in left[0].advice

    planned = await moving.plan(broker, first, QUEUE)
    assert await moving.move(database, broker, planned, operator=Operator("anna"), why="") == Moved(1, 0, 0)
    moved = await broker.get(QUEUE)
    assert moved is not None
    # It is the same copy: its record waits for this run, and the way that it came first is known.
    again = unwrap(Delivery(QUEUE, moved, 1, 0, "", QUEUE))
    assert (again.message.headers, again.exchange, again.routing_key) == (copy.headers, "events", "order.placed")
    assert await database.read(partial(records.fetch, keys=[(QUEUE, "e-1")])) == {(QUEUE, "e-1"): record}
