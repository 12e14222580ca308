"""The network breaks and brokers die: calls end in time, and all goes on by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from engine.brokers.rabbitmq.broker import RabbitBroker
from engine.errors import BrokerUnavailable
from engine.model.topology import Binding, Exchange, Queue, Topology
from engine.testing.proxy import Proxy
from tests.brokers.rabbitmq.conftest import Inbox, States, to
from tests.support.amqp import Leftovers
from tests.support.rabbit import RabbitNode

pytestmark = pytest.mark.faults


@pytest.fixture
async def proxy(amqp_url: str) -> AsyncIterator[Proxy]:
    parts = urlsplit(amqp_url)
    async with Proxy(parts.hostname or "", parts.port or 0) as proxy:
        yield proxy


@pytest.fixture
async def behind(proxy: Proxy, app: str) -> AsyncIterator[RabbitBroker]:
    """A broker behind the proxy, more easily alarmed than usual; tests/faults/test_network.py has it as it is."""
    async with reached(proxy, app, timeout=2) as broker:
        yield broker


@pytest.fixture
async def patient(proxy: Proxy, app: str) -> AsyncIterator[RabbitBroker]:
    """The same, but whose calls wait long."""
    async with reached(proxy, app, timeout=20) as broker:
        yield broker


@asynccontextmanager
async def reached(proxy: Proxy, app: str, *, timeout: float) -> AsyncIterator[RabbitBroker]:
    broker = RabbitBroker(f"amqp://guest:guest@127.0.0.1:{proxy.port}/?heartbeat=1", app=app, timeout=timeout)
    await broker.connect()
    yield broker
    await broker.close()


def quorum(name: str) -> Topology:
    return Topology(queues=(Queue(name, {"x-queue-type": "quorum"}),))


async def test_connections_closed_under_load(
    behind: RabbitBroker, proxy: Proxy, leftovers: Leftovers, app: str
) -> None:
    leftovers.queues(app)
    states, inbox = States(behind), Inbox()
    await behind.declare(quorum(app))
    subscription = await behind.consume(app, prefetch=100, receive=inbox.receive)
    confirmed: set[str] = set()

    async def publish() -> None:
        for number in range(40):
            ids = [f"{number}.{each}" for each in range(25)]
            todo = ids
            while todo:
                results = await behind.publish([to(app, each) for each in todo])
                assert all(result is None or isinstance(result, BrokerUnavailable) for result in results)
                confirmed.update(each for each, result in zip(todo, results, strict=True) if result is None)
                todo = [each for each, result in zip(todo, results, strict=True) if result is not None]

    async def consume() -> set[str]:
        seen: set[str] = set()
        done = 0
        while len(seen) < 1000:
            await inbox.until(done + 1)
            fresh = inbox.deliveries[done:]
            done += len(fresh)
            await subscription.ack(fresh)
            seen |= {each.message.message_id or "" for each in fresh}
        return seen

    publishing, consuming = asyncio.create_task(publish()), asyncio.create_task(consume())
    for _ in range(4):
        await asyncio.sleep(0.3)
        proxy.close_all()
    await publishing
    assert await asyncio.wait_for(consuming, 30) == confirmed
    assert len(confirmed) == 1000
    await states.until(None, BrokerUnavailable)
    await states.until(None, None)
    # A consumer that is hit while it begins anew may be reported by its queue; nothing but the connection is amiss.
    assert all(error is None or isinstance(error, BrokerUnavailable) for _, error in states.seen)


async def test_a_black_hole_is_noticed_in_time(
    behind: RabbitBroker, proxy: Proxy, leftovers: Leftovers, app: str
) -> None:
    leftovers.queues(app)
    states, inbox = States(behind), Inbox()
    await behind.declare(quorum(app))
    await behind.consume(app, prefetch=10, receive=inbox.receive)
    assert await behind.publish([to(app, "before")]) == [None]
    await inbox.until(1)
    proxy.black_hole()
    began = time.monotonic()
    (result,) = await behind.publish([to(app, "into the hole")])
    assert isinstance(result, BrokerUnavailable)
    assert time.monotonic() - began < 5
    await states.until(None, BrokerUnavailable)
    assert time.monotonic() - began < 7
    proxy.pass_on()
    await states.until(None, None)
    assert await behind.publish([to(app, "after")]) == [None]
    assert "after" in {each.message.message_id for each in await inbox.until(2)}


async def test_every_call_ends_in_a_black_hole(
    behind: RabbitBroker, proxy: Proxy, leftovers: Leftovers, app: str
) -> None:
    leftovers.queues(app)
    await behind.declare(quorum(app))
    inbox = Inbox()
    subscription = await behind.consume(app, prefetch=10, receive=inbox.receive)
    await behind.publish([to(app)])
    deliveries = await inbox.until(1)
    proxy.black_hole()
    began = time.monotonic()
    calls = [
        behind.depths([app]),
        behind.get(app),
        behind.declare(quorum(app)),
        behind.differences(quorum(app)),
        behind.consume(app, prefetch=1, receive=inbox.receive),
        behind.delete_queue(app),
    ]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, BrokerUnavailable) for outcome in outcomes), outcomes
    await subscription.ack(deliveries)
    await subscription.close()
    await behind.close()
    assert time.monotonic() - began < 20


async def test_a_publish_waits_for_the_reconnect(
    patient: RabbitBroker, proxy: Proxy, leftovers: Leftovers, app: str
) -> None:
    leftovers.queues(app)
    await patient.declare(quorum(app))
    assert await patient.publish([to(app, "before")]) == [None]
    states = States(patient)
    await proxy.refuse()
    await states.until(None, BrokerUnavailable)
    publishing = asyncio.create_task(patient.publish([to(app, str(number)) for number in range(500)]))
    await asyncio.sleep(0.5)
    assert not publishing.done()
    await proxy.start()
    assert await publishing == [None] * 500
    await states.until(None, None)


async def test_a_publish_waits_for_the_reconnect_no_longer_than_it_may(
    behind: RabbitBroker, proxy: Proxy, leftovers: Leftovers, app: str
) -> None:
    leftovers.queues(app)
    await behind.declare(quorum(app))
    states = States(behind)
    await proxy.refuse()
    await states.until(None, BrokerUnavailable)
    began = time.monotonic()
    first, second = await behind.publish([to(app), to(app)])
    assert isinstance(first, BrokerUnavailable)
    assert isinstance(second, BrokerUnavailable)
    assert 1.5 < time.monotonic() - began < 6
    await proxy.start()


@pytest.mark.slow
async def test_a_broker_killed_and_started_again(rabbit_node: RabbitNode, app: str) -> None:
    broker = RabbitBroker(rabbit_node.url, app=app, timeout=40)
    await broker.connect()
    try:
        states, inbox = States(broker), Inbox()
        await broker.declare(Topology((Exchange(app),), quorum(app).queues, (Binding(app, app, "a.#"),)))
        subscription = await broker.consume(app, prefetch=10, receive=inbox.receive)
        assert await broker.publish([to(app, "before")]) == [None]
        deliveries = await inbox.until(1)
        rabbit_node.settle()
        await asyncio.to_thread(rabbit_node.kill)
        await states.until(None, BrokerUnavailable)
        await subscription.ack(deliveries)  # its connection is gone: it comes again
        starting = asyncio.create_task(asyncio.to_thread(rabbit_node.start))
        # one that was written just before the loss was noticed is reported, and sent again by the caller
        while (await broker.publish([to(app, "during")])) != [None]:
            assert len(states.seen) < 100
        await starting
        await states.until(None, None, 60)
        again = (await inbox.until(3, 60))[1:]
        assert {each.message.message_id for each in again} == {"before", "during"}
        assert all(each.generation != deliveries[0].generation for each in again)
        await subscription.ack([*deliveries, *again])
        await subscription.close()
        assert await broker.get(app) is None
    finally:
        await broker.close()


@pytest.mark.slow
async def test_a_broker_that_comes_back_empty(rabbit_node: RabbitNode, app: str) -> None:
    """What was declared is declared again: exchange, queue, binding, consumer."""
    broker = RabbitBroker(rabbit_node.url, app=app, timeout=40)
    await broker.connect()
    try:
        states, inbox = States(broker), Inbox()
        topology = Topology((Exchange(app),), quorum(app).queues, (Binding(app, app, "a.#"),))
        await broker.declare(topology)
        await broker.consume(app, prefetch=10, receive=inbox.receive)
        publication = to(app, "x")
        publication.exchange, publication.routing_key = app, "a.b"
        assert await broker.publish([publication]) == [None]
        await inbox.until(1)
        await asyncio.to_thread(rabbit_node.kill)
        await states.until(None, BrokerUnavailable)
        await asyncio.to_thread(rabbit_node.forget)
        await asyncio.to_thread(rabbit_node.start)
        assert await broker.publish([publication]) == [None]
        await inbox.until(2, 60)
        await states.until(None, None, 60)
        assert await broker.differences(topology) == []
    finally:
        await broker.close()


async def test_a_memory_alarm_ends_publishes_and_spares_consumers(rabbit_node: RabbitNode, app: str) -> None:
    broker = RabbitBroker(rabbit_node.url, app=app, timeout=2)
    await broker.connect()
    try:
        inbox = Inbox()
        await broker.declare(quorum(app))
        subscription = await broker.consume(app, prefetch=10, receive=inbox.receive)
        assert await broker.publish([to(app, "before")]) == [None]
        deliveries = await inbox.until(1)
        await asyncio.to_thread(rabbit_node.control, "set_vm_memory_high_watermark", "0.00001")
        (result,) = await broker.publish([to(app, "blocked")])
        assert isinstance(result, BrokerUnavailable)
        assert "memory" in result.message
        await subscription.ack(deliveries)
        await subscription.close()
        assert await broker.get(app) is None
        await asyncio.to_thread(rabbit_node.control, "set_vm_memory_high_watermark", "0.6")
        assert await broker.publish([to(app, "after")]) == [None]
    finally:
        await broker.close()
