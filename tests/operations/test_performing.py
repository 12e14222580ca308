"""With no worker alive, an operation is performed by whoever ordered it."""

from __future__ import annotations

import time

import pytest

from engine.brokers.base import Broker
from engine.model.message import Message
from engine.model.operation import Operation, Options, State
from engine.model.outgoing import Kind, Outgoing
from engine.operations import performing
from engine.operations.operator import Operator
from engine.operations.performing import carry_out, perform_alone
from engine.operations.progress import one
from engine.operations.redrive import plan
from engine.runtime.ids import new_id
from engine.storage import leases, outbox, workers
from engine.storage.database import Database
from engine.storage.failure_search import Filter
from engine.storage.liveness import Liveness
from tests.support.failing import QUEUE, bury_many
from tests.support.performing import declare, start

ANNA = Operator("anna@web-1")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performing, "PATIENCE", 0.5)


async def ordered(database: Database, broker: Broker, count: int, options: Options | None = None) -> Operation:
    await declare(broker, QUEUE)
    await bury_many(database, count)
    return await start(database, await plan(database, broker, Filter()), options)


async def ready(broker: Broker) -> int:
    depth = (await broker.depths([QUEUE]))[QUEUE]
    assert depth is not None
    return depth.ready


async def test_messages_are_published_with_a_confirm_and_struck_off(database: Database, broker: Broker) -> None:
    operation = await ordered(database, broker, 30)
    stands, performed = await carry_out(database, broker, "shop", operation.id, operator=ANNA)
    assert performed == (30, 0, "")
    assert (stands.state, stands.sent, stands.waiting, stands.owner) == (State.RUNNING, 30, 0, None)
    assert await ready(broker) == 30
    assert await database.read(outbox.pending) == 0
    assert set((await database.read(leases.holders)).values()) == {None}


async def test_what_needs_an_outcome_is_left_to_a_worker(database: Database, broker: Broker) -> None:
    operation = await ordered(database, broker, 30, Options(canary=4))
    assert await perform_alone(database, broker, "shop", operation.id, operator=ANNA) == (4, 0, "")
    assert await perform_alone(database, broker, "shop", operation.id, operator=ANNA) == (0, 0, "")
    stands = await one(database, operation.id)
    assert (stands.state, stands.stage, stands.sent) == (State.RUNNING, "canary", 4)
    assert await ready(broker) == 4


async def test_what_the_broker_does_not_take_is_left_for_a_worker(database: Database, broker: Broker) -> None:
    operation = await ordered(database, broker, 3)
    lost = Outgoing(new_id(), Kind.SEND, "", "shop.nowhere", Message(b"{}", message_id="e-1"), True, None, time.time())
    await database.write(lambda connection: outbox.add(connection, None, [lost]))
    performed = await perform_alone(database, broker, "shop", operation.id, operator=ANNA)
    assert performed is not None
    assert (performed.sent, performed.left) == (3, 1)
    assert "did not take" in performed.why


async def test_a_worker_that_lives_does_it(database: Database, broker: Broker) -> None:
    operation = await ordered(database, broker, 1)
    now = time.time()
    row = workers.Worker("host:1:abc", "shop", "1", "running", now, now, {"host": "host", "pid": 1})
    await database.write(lambda connection: workers.register(connection, row))
    liveness = await Liveness.open(database, "host:1:abc")
    assert await perform_alone(database, broker, "shop", operation.id, operator=ANNA) is None
    assert (await one(database, operation.id)).sent == 0

    await liveness.close()
    assert await perform_alone(database, broker, "shop", operation.id, operator=ANNA) == (1, 0, "")
