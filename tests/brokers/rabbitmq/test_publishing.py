"""Each publication has its own outcome, whatever becomes of its neighbours."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from engine.brokers.rabbitmq.broker import RabbitBroker
from engine.errors import BrokerUnavailable, PublishRefused, Unroutable
from engine.model.message import Message, Publication
from engine.model.topology import Exchange, Topology
from tests.brokers.rabbitmq.conftest import MakeQueue, to
from tests.support.amqp import Leftovers, delete


async def test_one_id_twice_in_flight(broker: RabbitBroker, make_queue: MakeQueue) -> None:
    queue = await make_queue()
    nowhere = Publication("", "no-such-queue", Message(b"{}", message_id="same"))
    group = [nowhere, to(queue, "same"), to(queue, "same"), nowhere, replace(nowhere, mandatory=False)] * 50
    first, second = await asyncio.gather(broker.publish(group), broker.publish(group[::-1]))
    kinds = [Unroutable, None, None, Unroutable, None] * 50
    assert [type(each) if each else None for each in first] == kinds
    assert [type(each) if each else None for each in second] == kinds[::-1]
    depth = (await broker.depths([queue]))[queue]
    assert depth is not None
    assert depth.ready == 200


async def test_what_cannot_be_encoded_fails_alone(broker: RabbitBroker, make_queue: MakeQueue) -> None:
    queue = await make_queue()
    bad = [
        Publication("", queue, Message(b"{}", {"a": float("nan")}, "1")),
        Publication("", queue, Message(b"{}", {"a": "x" * 140_000}, "2")),
        Publication("", "k" * 300, Message(b"{}", message_id="3")),
        Publication("e" * 300, "k", Message(b"{}", message_id="4")),
        Publication("", queue, Message(b"{}", timestamp=-1)),
    ]
    group = [publication for each in bad for publication in (to(queue), each)]
    results = await broker.publish(group)
    assert all((result is None) is (number % 2 == 0) for number, result in enumerate(results))
    assert all(isinstance(result, PublishRefused) for result in results[1::2])
    assert all(result.hint for result in results if result is not None)


async def test_the_largest_header_block_passes(broker: RabbitBroker, make_queue: MakeQueue) -> None:
    queue = await make_queue()
    largest = 131072 - 8 - 14 - 1 - 4 - len(b"\x01aS\x00\x00\x00\x00")
    fits = Publication("", queue, Message(b"{}", {"a": "x" * largest}))
    over = Publication("", queue, Message(b"{}", {"a": "x" * (largest + 1)}))
    results = await broker.publish([fits, over, fits])
    assert [type(result) if result else None for result in results] == [None, PublishRefused, None]


async def test_a_full_queue_refuses(broker: RabbitBroker, make_queue: MakeQueue) -> None:
    full = await make_queue("full", x_max_length=3, x_overflow="reject-publish")
    open_queue = await make_queue("open")
    results: list[object] = []
    for number in range(20):
        results += await broker.publish([to(full, f"f{number}"), to(open_queue, f"o{number}")])
    refused = [result for result in results[::2] if result is not None]
    assert refused
    assert all(type(result) is PublishRefused for result in refused)
    assert results[1::2] == [None] * 20


async def test_an_exchange_deleted_under_publishes_fails_only_its_own(
    broker: RabbitBroker, make_queue: MakeQueue, leftovers: Leftovers, amqp_url: str, app: str
) -> None:
    queue = await make_queue()
    leftovers.exchanges(app)
    await broker.declare(Topology((Exchange(app),)))
    lost = Publication(app, "key", Message(b"{}"), mandatory=False)
    assert await broker.publish([lost]) == [None]
    await delete(amqp_url, [], [app])  # behind the adapter's back: it closes the channel now
    group = [lost, *(to(queue, str(number)) for number in range(300)), lost]
    first, *middle, last = await broker.publish(group)
    assert isinstance(first, PublishRefused)
    assert isinstance(last, PublishRefused)
    assert app in first.message
    assert middle == [None] * 300
    depth = (await broker.depths([queue]))[queue]
    assert depth is not None
    assert depth.ready == 300


async def test_too_large_for_the_broker(broker: RabbitBroker, make_queue: MakeQueue) -> None:
    """3.10 takes 128 MiB, 4.0 takes 16: either way the neighbours are served."""
    queue = await make_queue()
    large = to(queue, "large", b"x" * (17 * 1024 * 1024))
    first, result, last = await broker.publish([to(queue, "a"), large, to(queue, "b")])
    assert result is None or (isinstance(result, PublishRefused) and "takes 16777216" in result.message)
    assert isinstance(first, BrokerUnavailable | None)  # its confirm may have been lost with the channel
    assert last is None


async def test_thousands_in_order_and_in_step(broker: RabbitBroker, make_queue: MakeQueue) -> None:
    queue = await make_queue()
    group = [to(queue, str(number)) if number % 7 else to("nowhere", str(number)) for number in range(5000)]
    results = await broker.publish(group)
    assert all(isinstance(result, Unroutable) == (number % 7 == 0) for number, result in enumerate(results))


async def test_a_cancelled_publish_leaves_the_others_in_step(broker: RabbitBroker, make_queue: MakeQueue) -> None:
    queue = await make_queue()
    for number in range(20):
        task = asyncio.create_task(broker.publish([to(queue, f"{number}.{each}") for each in range(500)]))
        await asyncio.sleep(0.001 * (number % 4))
        task.cancel()
        result, unroutable = await broker.publish([to(queue, "kept"), to("nowhere", "lost")])
        assert result is None
        assert isinstance(unroutable, Unroutable)
    await asyncio.wait([task])


async def test_a_closed_broker_says_so(broker: RabbitBroker, make_queue: MakeQueue) -> None:
    queue = await make_queue()
    await broker.close()
    with pytest.raises(BrokerUnavailable, match="closed"):
        await broker.publish([to(queue)])
