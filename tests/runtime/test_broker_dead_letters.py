"""What the broker itself dead-letters becomes a failure, and takes no other message with it."""

from __future__ import annotations

from engine.brokers import open_broker
from engine.model.message import Delivery, Message, Publication
from engine.model.topology import dlq_name
from tests.runtime.test_bad_messages import PLUGIN, handled
from tests.support.workers import Fleet


async def test_another_message_under_a_handled_id_is_not_swallowed(fleet: Fleet) -> None:
    await fleet.start(fleet.plugin(PLUGIN))
    queue = queue_of(fleet)
    broker = open_broker(fleet.settings().broker, app="test")
    await broker.connect()
    try:
        first, second = (Message(b'{"number": %d}' % number, message_id="twice", type="test.step") for number in (1, 2))
        assert await broker.publish([Publication("", queue, first)]) == [None]
        await fleet.until(lambda: handled(fleet) == 1, "the first to be handled")
        assert await broker.publish([Publication("", dlq_name(queue), second)]) == [None]
        await fleet.until(lambda: bool(failures(fleet)), "the second to be a failure")
    finally:
        await broker.close()
    assert failures(fleet) == [("twice", "dead-lettered by the broker")]
    assert handled(fleet) == 1


async def test_a_message_that_another_program_rejects_becomes_a_failure(fleet: Fleet) -> None:
    worker = await fleet.start(fleet.plugin(PLUGIN))
    queue = queue_of(fleet)
    assert await worker.terminate() == 0
    broker = open_broker(fleet.settings().broker, app="test")
    await broker.connect()
    try:
        arrived: list[Delivery] = []
        subscription = await broker.consume(queue, prefetch=1, receive=arrived.append)
        exchange = fleet.settings().exchange
        await broker.publish([Publication(exchange, "test.step", Message(b'{"number": 1}', message_id="one"))])
        await fleet.until(lambda: bool(arrived), "the message to arrive")
        await subscription.nack(arrived, requeue=False)
        await subscription.close()
    finally:
        await broker.close()
    await fleet.start(fleet.plugin(PLUGIN))
    await fleet.until(lambda: bool(failures(fleet)), "the failure to be known")
    assert failures(fleet) == [("one", "dead-lettered by the broker")]
    assert fleet.query("SELECT state, run FROM warren_records") == [("dead", 1)]
    if fleet.settings().broker.startswith("amqp"):  # RabbitMQ tells where it came from
        assert fleet.query("SELECT event_type, exchange, routing_key FROM warren_failures") == [
            ("test.step", exchange, "test.step")
        ]


def queue_of(fleet: Fleet) -> str:
    ((queue,),) = fleet.query("SELECT queue FROM warren_queues")
    return str(queue)


def failures(fleet: Fleet) -> list[tuple[str, str]]:
    return fleet.query("SELECT event_id, reason FROM warren_failures")
