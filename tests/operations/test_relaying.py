"""With no worker alive, the operation publishes what it promised by itself."""

from __future__ import annotations

import time

import pytest

from engine.brokers.base import Broker
from engine.model.topology import Route, handler_topology
from engine.operations import relaying
from engine.operations.redrive import execute, plan
from engine.operations.relaying import relay_alone
from engine.storage import outbox, workers
from engine.storage.database import Database
from engine.storage.failure_search import Filter
from engine.storage.liveness import Liveness
from tests.support.failing import QUEUE, bury


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relaying, "PATIENCE", 0.5)


async def redriven(database: Database, count: int) -> None:
    ids = [await bury(database, f"e-{number}") for number in range(count)]
    await execute(database, await plan(database, None, Filter(ids=ids)), who="anna", why="")


async def test_messages_are_published_with_a_confirm_and_struck_off(database: Database, broker: Broker) -> None:
    await broker.declare(handler_topology("shop", [Route(QUEUE, "events", ["order.*"])]))
    await redriven(database, 30)

    relayed = await relay_alone(database, broker, "shop")

    assert relayed == (30, 0, "")
    depth = (await broker.depths([QUEUE]))[QUEUE]
    assert depth is not None
    assert depth.ready == 30
    assert await database.read(outbox.pending) == 0


async def test_what_the_broker_does_not_take_is_left_for_a_worker(database: Database, broker: Broker) -> None:
    await redriven(database, 2)
    relayed = await relay_alone(database, broker, "shop")
    assert relayed is not None
    assert (relayed.sent, relayed.left) == (0, 2)
    assert relayed.why
    assert await database.read(outbox.pending) == 2


async def test_a_worker_that_lives_does_it(database: Database, broker: Broker) -> None:
    await redriven(database, 1)
    now = time.time()
    row = workers.Worker("host:1:abc", "shop", "1", "running", now, now, {"host": "host", "pid": 1})
    await database.write(lambda connection: workers.register(connection, row))
    liveness = await Liveness.open(database, "host:1:abc")
    assert await relay_alone(database, broker, "shop") is None
    assert await database.read(outbox.pending) == 1

    await liveness.close()
    assert await relay_alone(database, broker, "shop") is not None
