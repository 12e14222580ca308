"""Queues as the broker counts them and as the database knows them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.brokers.base import Broker
from engine.model.message import Message, Publication
from engine.model.stats import HandlerStats
from engine.model.topology import Route, delay_topology, dlq_name, handler_topology
from engine.operations.queues import list_queues
from engine.storage import workers
from engine.storage.database import Database
from tests.support.failing import QUEUE, bury

if TYPE_CHECKING:
    from sqlalchemy import Connection

GONE = "shop.orders.gone"


async def test_a_queue_shows_what_waits_is_in_hand_delayed_and_dead(database: Database, broker: Broker) -> None:
    await broker.declare(handler_topology("shop", [Route(QUEUE, "events", ["order.*"])]))
    await broker.declare(delay_topology("shop"))
    await broker.publish([Publication("events", "order.placed", Message(b"{}")) for _ in range(3)])
    await broker.publish([Publication("", dlq_name(QUEUE), Message(b"{}"))])
    await broker.publish([Publication("", "shop.delay.36h", Message(b"{}")) for _ in range(2)])
    await bury(database, "e-1")

    def work(connection: Connection) -> None:
        now = time.time()
        declared = [workers.DeclaredQueue(name, "shop", "charge", ("order.*",), now, now) for name in (QUEUE, GONE)]
        workers.declare_queues(connection, declared)
        for worker, in_flight in (("alive-1", 2), ("alive-2", 3), ("dead", 100)):
            stats = HandlerStats(in_flight=in_flight)
            workers.save_stats(connection, [workers.Stats(worker, QUEUE, "charge", now, stats)])

    await database.write(work)

    found = await list_queues(database, broker, "shop", [], ["alive-1", "alive-2"])

    charge, gone = found.queues
    assert charge._asdict() == {
        "name": QUEUE,
        "handler": "charge",
        "ready": 3,
        "consumers": 0,
        "in_flight": 5,
        "dead": 1,
        "dead_letters": 1,
        "paused": None,
        "circuit": None,
        "crowded": False,
        "held": 0,
    }
    assert (gone.name, gone.ready, gone.consumers) == (GONE, None, None)
    assert found.delayed == 2
