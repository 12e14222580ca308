"""The doctor tries what this user may do on the exchanges, and nobody hears of it."""

from __future__ import annotations

import asyncio

import pytest

from engine.brokers.base import Broker
from engine.brokers.rabbitmq.broker import RabbitBroker
from engine.model.topology import Binding, Exchange, Queue, Topology
from engine.operations.doctor.broker import check_round_trip
from engine.operations.doctor.finding import Level
from engine.operations.operator import Operator
from tests.support.amqp import Leftovers
from tests.support.rabbit import RabbitNode

ANNA = Operator("anna@web-1")


async def test_on_each_exchange_and_nobody_hears_of_it(amqp_url: str, app: str, leftovers: Leftovers) -> None:
    broker = RabbitBroker(amqp_url, app=app)
    await broker.connect()
    events, dlx, journal = f"{app}.events", f"{app}.dlx", f"{app}.journal"
    topology = Topology(
        (Exchange(events), Exchange(dlx, "direct")),
        (Queue(journal, {"x-queue-type": "quorum"}),),
        (Binding(events, journal, "#"), Binding(dlx, journal, "")),
    )
    leftovers.topology(topology)
    try:
        await broker.declare(topology)
        exchanges = [events, dlx, f"{app}.missing"]
        finding = await check_round_trip(broker, app, operator=ANNA, exchanges=exchanges)
        assert finding.level is Level.OK, finding
        assert "also on 3 exchanges" in finding.what
        assert await broker.may_write(events)
        assert not await broker.may_write(f"{app}.missing")
        assert await broker.get(journal) is None, "even a queue that takes everything got nothing"
    finally:
        await broker.close()


async def test_the_embedded_broker_has_no_permissions(broker: Broker) -> None:
    await broker.declare(Topology((Exchange("events"),)))
    finding = await check_round_trip(broker, "shop", operator=ANNA, exchanges=["events", "missing"])
    assert finding.level is Level.OK


@pytest.mark.slow
async def test_what_a_user_may_not_do_is_named(rabbit_node: RabbitNode, app: str) -> None:
    own = f"^{app}[.](?!events)"
    await asyncio.to_thread(rabbit_node.control, "add_user", "anna", "secret")
    owner = RabbitBroker(rabbit_node.url, app=app)
    await owner.connect()
    try:
        await owner.declare(Topology((Exchange(f"{app}.events"),)))
    finally:
        await owner.close()
    url = rabbit_node.url.replace("guest:guest", "anna:secret")
    for write, read, said in (
        (".*", own, f"cannot read from the exchange {app}.events"),
        (f"{own}|^amq[.]default$", ".*", f"cannot write to the exchange {app}.events"),
    ):
        await asyncio.to_thread(rabbit_node.control, "set_permissions", "anna", own, write, read)
        broker = RabbitBroker(url, app=app)
        await broker.connect()
        try:
            finding = await check_round_trip(broker, app, operator=ANNA, exchanges=[f"{app}.events"])
        finally:
            await broker.close()
        assert finding.level is Level.FAIL
        assert said in finding.what
        assert "set_permissions" in finding.hint
