"""Queues are deleted, changed, full or missing while workers run: that queue suffers, and no other."""

from __future__ import annotations

import time

import aio_pika
import pytest
from aio_pika.exceptions import ChannelClosed

from engine.brokers import open_broker
from engine.model import delay
from engine.model.message import Message, Publication
from engine.model.topology import Queue, Topology, delay_topology
from tests.faults.load import PLUGIN, RECORDS, at_rest, publish
from tests.support.amqp import channel
from tests.support.workers import Fleet

pytestmark = [pytest.mark.faults, pytest.mark.slow]


def looked(fleet: Fleet) -> int:
    """How many steps the handler without a session is done with."""
    ((count,),) = fleet.query(f"SELECT count(*) FROM warren_records WHERE queue = '{victim(fleet)}' AND state = 'done'")
    return int(count)


def victim(fleet: Fleet) -> str:
    return f"{fleet.app}.plugin.look"


async def test_a_queue_that_is_deleted_under_its_worker_is_there_again(rabbit_fleet: Fleet) -> None:
    fleet = rabbit_fleet
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(PLUGIN))
    confirmed = await publish(fleet, range(100))
    await fleet.until(lambda: looked(fleet) == 100, "the first steps to be looked at")
    async with channel(fleet.broker) as plain:
        await plain.queue_delete(victim(fleet))
    fleet.tally.fault()
    await worker.until(f"queue {victim(fleet)} is back")
    confirmed |= await publish(fleet, range(100, 200))
    await at_rest(fleet, confirmed)
    assert looked(fleet) == 200
    assert "the broker is lost" not in worker.said()


async def test_a_queue_with_other_arguments_stops_no_other(rabbit_fleet: Fleet) -> None:
    fleet = rabbit_fleet
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(PLUGIN))
    confirmed = await publish(fleet, range(50))
    await fleet.until(lambda: looked(fleet) == 50, "the first steps to be looked at")
    await replace_queue(fleet)
    fleet.tally.fault()
    await worker.until(f"queue {victim(fleet)} is lost")
    confirmed |= await publish(fleet, range(50, 150))
    await fleet.until(lambda: len(fleet.effects("followed")) == 150, "the other queues to go on")
    assert "the broker is lost" not in worker.said()
    async with channel(fleet.broker) as plain:  # the operator puts it right
        await plain.queue_delete(victim(fleet))
    await worker.until(f"queue {victim(fleet)} is back")
    confirmed |= await publish(fleet, range(150, 200))
    await fleet.until(lambda: looked(fleet) >= 100, "the queue to be consumed again")
    await fleet.until(lambda: len(fleet.effects("followed")) == 200, "the last retries to end")
    fleet.assert_once("booked", confirmed)
    assert await worker.terminate() == 0


async def replace_queue(fleet: Fleet) -> None:
    """Delete the queue, and declare another kind of its name before the worker can declare its own."""
    for _ in range(20):
        try:
            async with channel(fleet.broker) as plain:
                await plain.queue_delete(victim(fleet))
                await plain.declare_queue(victim(fleet), durable=True, arguments={"x-max-length": 10})
                return
        except ChannelClosed:
            continue
    raise AssertionError("the worker was always quicker")


async def test_retries_whose_rung_has_gone(rabbit_fleet: Fleet) -> None:
    """Unroutable: the worker makes the rungs again, and no retry is lost."""
    fleet = rabbit_fleet
    await fleet.make_effects()
    await fleet.start(fleet.plugin(PLUGIN))
    rungs = [queue.name for queue in delay_topology(fleet.app).queues if ".delay." in queue.name]
    async with channel(fleet.broker) as plain:
        for name in rungs:
            await plain.queue_delete(name)
    fleet.tally.fault(len(rungs))
    await at_rest(fleet, await publish(fleet, range(100)))


async def test_a_delayed_message_whose_target_is_missing_waits_and_holds_up_nobody(rabbit_fleet: Fleet) -> None:
    fleet = rabbit_fleet
    await fleet.make_effects()
    await fleet.start(fleet.plugin(PLUGIN))
    target = f"{fleet.app}.later"
    broker = open_broker(fleet.broker, app=fleet.app)
    await broker.connect()
    try:
        now = time.time()
        lone = Publication("", target, Message(b"{}", message_id="lone"))
        assert await broker.publish([delay.plan(fleet.app, lone, now + 0.3, now)]) == [None]
        fleet.tally.fault()
        confirmed = await publish(fleet, range(100))
        await fleet.until(lambda: len(fleet.effects("followed")) == 100, "the retries of others to be handled")
        await broker.declare(Topology(queues=(Queue(target, {"x-queue-type": "quorum"}),)))
        arrived = None
        while arrived is None and time.time() < now + 30:
            arrived = await broker.get(target)
        assert arrived is not None
        assert arrived.message_id == "lone"
        await at_rest(fleet, confirmed)
        assert await broker.get(target) is None
        await broker.delete_queue(target)
    finally:
        await broker.close()


async def test_a_full_queue_of_somebody_else_holds_up_nobody(rabbit_fleet: Fleet) -> None:
    """What it refuses stays in the outbox, and goes when there is room; the others have it once."""
    fleet = rabbit_fleet
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(PLUGIN))
    name = f"{fleet.app}.full"
    async with channel(fleet.broker) as plain:
        full = await plain.declare_queue(
            name,
            durable=True,
            arguments={"x-queue-type": "quorum", "x-max-length": 5, "x-overflow": "reject-publish"},
        )
        await full.bind(f"{fleet.app}.events", "test.effect")
        fleet.tally.fault()
        confirmed = await publish(fleet, range(100))
        await fleet.until(lambda: len(fleet.effects("followed")) == 100, "all effects to be followed")
        assert fleet.query("SELECT count(*) FROM warren_outbox")[0][0] > 0
        assert "were not taken, they wait and are tried again" in worker.said()
        await plain.queue_delete(name)
    await at_rest(fleet, confirmed, patience=90)


async def test_a_handler_queue_that_is_full_refuses_the_publisher_and_keeps_what_it_took(rabbit_fleet: Fleet) -> None:
    fleet = rabbit_fleet
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(PLUGIN))
    assert await worker.terminate() == 0
    queue = f"{fleet.app}.plugin.book"
    async with channel(fleet.broker) as plain:
        await plain.queue_delete(queue)
        made = await plain.declare_queue(
            queue,
            durable=True,
            arguments={"x-queue-type": "quorum", "x-max-length": 20, "x-overflow": "reject-publish"},
        )
        await made.bind(f"{fleet.app}.events", "test.step")
        fleet.tally.fault()
        confirmed = await publish(fleet, range(60), group=1)
        assert 15 <= len(confirmed) < 60
        waiting = {await number(made) for _ in range(len(confirmed))}
        assert waiting == confirmed
        await plain.queue_delete(queue)
    assert RECORDS * len(confirmed) > 0


async def number(queue: aio_pika.abc.AbstractQueue) -> int:
    import json

    message = await queue.get(no_ack=True)
    return int(json.loads(message.body)["data"]["number"])
