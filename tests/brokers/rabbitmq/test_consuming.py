"""Consumers that are lost come back, alone; acks are few, late ones harmless."""

from __future__ import annotations

import asyncio

import pytest

from engine.brokers.base import Depth
from engine.brokers.rabbitmq import broker as broker_module
from engine.brokers.rabbitmq.broker import RabbitBroker
from engine.brokers.rabbitmq.subscription import RabbitSubscription
from engine.errors import QueueMissing, TopologyMismatch
from engine.model.topology import Binding, Exchange, Queue, Topology
from tests.brokers.rabbitmq.conftest import Inbox, MakeQueue, States, to
from tests.support.amqp import Leftovers, channel, delete


async def test_a_queue_deleted_under_its_consumer(
    broker: RabbitBroker, make_queue: MakeQueue, leftovers: Leftovers, amqp_url: str, app: str
) -> None:
    states, inbox, other_inbox = States(broker), Inbox(), Inbox()
    queue, other = await make_queue("q"), await make_queue("other")
    leftovers.exchanges(app)
    await broker.declare(Topology((Exchange(app),), (), (Binding(app, queue, "a.*"),)))
    await broker.consume(queue, prefetch=5, receive=inbox.receive)
    others = await broker.consume(other, prefetch=5, receive=other_inbox.receive)
    await broker.publish([to(queue, "out"), to(other, "held")])
    (out,), (held,) = await inbox.until(1), await other_inbox.until(1)
    await delete(amqp_url, [queue])
    await states.until(queue, QueueMissing)
    await states.until(queue, None)
    publication = to(queue, "again")
    publication.exchange, publication.routing_key = app, "a.b"
    assert await broker.publish([publication]) == [None]
    again = (await inbox.until(2))[1]
    assert again.message.message_id == "again"
    assert again.generation != out.generation
    # the other consumer was not touched: what it held can be acked, and is not delivered again
    await others.ack([held])
    await others.close()
    assert len(other_inbox.deliveries) == 1
    assert {about for about, _ in states.seen} == {queue}


async def test_acks_behind_the_end_of_their_channel_do_not_cost_the_connection(
    broker: RabbitBroker, make_queue: MakeQueue
) -> None:
    """RabbitMQ closes a connection on which a frame comes for a channel that is closed."""
    inbox, other_inbox = Inbox(), Inbox()
    queue, other = await make_queue("q"), await make_queue("other")
    subscription = await broker.consume(queue, prefetch=1000, receive=inbox.receive)
    await broker.consume(other, prefetch=5, receive=other_inbox.receive)
    assert isinstance(subscription, RabbitSubscription)
    await broker.publish([to(queue, str(number)) for number in range(1000)])
    deliveries = list(await inbox.until(1000))
    line, ended = broker._consuming.line, subscription._channel
    assert line is not None
    assert ended is not None
    closing = asyncio.create_task(ended.close())
    while not closing.done():  # also while the goodbye is on its way
        if deliveries:
            await subscription.ack([deliveries.pop(0)])
        await asyncio.sleep(0)
    await subscription.ack(deliveries[-1:])
    await broker.publish([to(other, "later")])
    await other_inbox.until(1)
    assert await broker.depths([other]) == {other: Depth(0, 1)}
    assert broker._consuming.line is line
    assert line.is_up


async def test_a_channel_that_ends_late_takes_nothing_from_the_one_that_has_its_number(
    broker: RabbitBroker, make_queue: MakeQueue, app: str
) -> None:
    queue = await make_queue("q")
    await broker.publish([to(queue, "1")])
    assert await broker.depths([queue]) == {queue: Depth(1, 0)}
    gone = broker._control._channel
    assert gone is not None
    assert await broker.depths([f"{app}.missing"]) == {f"{app}.missing": None}  # RabbitMQ closes the channel
    inbox = Inbox()
    subscription = await broker.consume(queue, prefetch=5, receive=inbox.receive)
    assert isinstance(subscription, RabbitSubscription)
    assert subscription._channel is not None
    assert subscription._channel.number == gone.number, "aiormq gave it another number, which tests nothing"
    await gone.close()
    await inbox.until(1)
    await broker.publish([to(queue, "2")])
    await inbox.until(2)


async def test_a_queue_remade_with_other_arguments_is_reported(
    broker: RabbitBroker, make_queue: MakeQueue, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ 3.10 does not tell of it; there an idle consumer finds out by being renewed."""
    monkeypatch.setattr(broker_module, "RENEW_IDLE", 0.5)
    states, inbox = States(broker), Inbox()
    queue = await make_queue("q", x_delivery_limit=5)
    await broker.consume(queue, prefetch=5, receive=inbox.receive)
    async with channel(amqp_url) as plain:
        under = await plain.get_underlay_channel()
        await under.queue_delete(queue)
        await under.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 9})
    error = await states.until(queue, TopologyMismatch)
    assert error is not None
    assert "x-delivery-limit: wanted 5, the broker has 9" in error.message
    await delete(amqp_url, [queue])
    await states.until(queue, None)
    await broker.publish([to(queue, "after")])
    await inbox.until(1)


async def test_a_queue_remade_alike_is_consumed_again(
    broker: RabbitBroker, make_queue: MakeQueue, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "RENEW_IDLE", 0.5)
    inbox = Inbox()
    queue = await make_queue()
    await broker.consume(queue, prefetch=50, receive=inbox.receive)
    async with channel(amqp_url) as plain:
        under = await plain.get_underlay_channel()
        await under.queue_delete(queue)
        await under.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    await broker.publish([to(queue, str(number)) for number in range(10)])
    await inbox.until(10)


async def test_renewing_an_idle_consumer_delivers_nothing_twice(
    broker: RabbitBroker, make_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "RENEW_IDLE", 0.02)
    queue, inbox = await make_queue(), Inbox()
    subscription = await broker.consume(queue, prefetch=50, receive=inbox.receive)
    for number in range(40):
        await broker.publish([to(queue, str(number))])
        await asyncio.sleep(0.03)
        await subscription.ack((await inbox.until(number + 1))[number:])
    await subscription.close()
    assert [each.message.message_id for each in inbox.deliveries] == [str(number) for number in range(40)]


async def test_a_double_ack_and_a_late_ack_close_nothing(broker: RabbitBroker, make_queue: MakeQueue) -> None:
    queue, states, inbox, next_inbox = await make_queue(), States(broker), Inbox(), Inbox()
    subscription = await broker.consume(queue, prefetch=10, receive=inbox.receive)
    await broker.publish([to(queue, str(number)) for number in range(6)])
    deliveries = await inbox.until(6)
    await subscription.ack(deliveries[3:])
    await subscription.ack(deliveries[2:])
    await subscription.ack(deliveries[2:])
    await subscription.close()
    await subscription.ack(deliveries)
    second = await broker.consume(queue, prefetch=10, receive=next_inbox.receive)
    again = await next_inbox.until(2)
    await subscription.ack(again)
    await second.ack([*deliveries, *again])
    await second.close()
    assert [each.message.message_id for each in again] == ["0", "1"]
    assert states.seen == []


async def test_scattered_acks_survive_the_close(broker: RabbitBroker, make_queue: MakeQueue) -> None:
    """A quorum queue forgets acks that it keeps back when their channel closes."""
    queue, inbox, rest = await make_queue(), Inbox(), Inbox()
    await broker.publish([to(queue, str(number)) for number in range(600)])
    subscription = await broker.consume(queue, prefetch=600, receive=inbox.receive)
    await subscription.ack((await inbox.until(600))[1::2])
    await subscription.close()
    await broker.consume(queue, prefetch=600, receive=rest.receive)
    assert {each.message.message_id for each in await rest.until(300)} == {str(number) for number in range(0, 600, 2)}


async def test_a_receive_that_raises_harms_no_other(broker: RabbitBroker, make_queue: MakeQueue) -> None:
    first, second, states, inbox = await make_queue("a"), await make_queue("b"), States(broker), Inbox()

    def fail(_: object) -> None:
        raise RuntimeError("a receive of the caller's own")

    await broker.consume(first, prefetch=1, receive=fail)
    await broker.consume(second, prefetch=1, receive=inbox.receive)
    await broker.publish([to(first), to(second)])
    await inbox.until(1)
    assert states.seen == []


async def test_a_cancelled_consumer_stays_cancelled(broker: RabbitBroker, make_queue: MakeQueue, amqp_url: str) -> None:
    queue, inbox = await make_queue(), Inbox()
    subscription = await broker.consume(queue, prefetch=5, receive=inbox.receive)
    await broker.publish([to(queue, "a")])
    (delivery,) = await inbox.until(1)
    await subscription.cancel()
    await broker.publish([to(queue, "b")])
    await subscription.ack([delivery])
    await subscription.close()
    assert len(inbox.deliveries) == 1
    got = await broker.get(queue)
    assert got is not None
    assert got.message_id == "b"
    assert await broker.get(queue) is None


async def test_queues_hundred_at_a_time(broker: RabbitBroker, leftovers: Leftovers, app: str) -> None:
    names = [f"{app}.{number}" for number in range(100)]
    leftovers.queues(*names)
    inbox = Inbox()
    await broker.declare(Topology(queues=tuple(Queue(name, {"x-queue-type": "quorum"}) for name in names)))
    for name in names:
        await broker.consume(name, prefetch=5, receive=inbox.receive)
    await broker.publish([to(name) for name in names])
    assert {each.queue for each in await inbox.until(100)} == set(names)
