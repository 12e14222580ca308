"""Reading streams through outages, on a connection that disturbs nothing else."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from engine.brokers.base import Entry
from engine.brokers.rabbitmq.broker import RabbitBroker
from engine.errors import BrokerUnavailable
from engine.model.codec import Limits
from engine.model.masking import Masking
from engine.model.message import Message, Publication
from engine.model.topology import Queue, Topology
from engine.operations.events import EventFilter
from engine.operations.stream_events import Source, Unreadable, tail
from engine.runtime.stream_log import read_event, scan
from engine.testing.proxy import Proxy
from tests.brokers.rabbitmq.conftest import Inbox, to
from tests.brokers.rabbitmq.test_outages import behind, proxy  # noqa: F401  # fixtures
from tests.support.amqp import Leftovers
from tests.support.rabbit import RabbitNode

pytestmark = pytest.mark.faults


def stream(name: str) -> Topology:
    return Topology(queues=(Queue(name, {"x-queue-type": "stream"}),))


def event(name: str, number: int) -> Publication:
    return Publication("", name, Message(b'{"number": %d}' % number, message_id=f"e-{number}", type="counted"))


async def test_a_lost_connection_ends_a_reading_and_one_reads_on_behind_it(
    behind: RabbitBroker,  # noqa: F811
    proxy: Proxy,  # noqa: F811
    leftovers: Leftovers,
    app: str,
) -> None:
    queue = f"{app}.queue"
    leftovers.queues(app, queue)
    await behind.declare(Topology(queues=(*stream(app).queues, Queue(queue, {"x-queue-type": "quorum"}))))
    await behind.publish([event(app, number) for number in range(1000)])
    found: list[Entry] = []
    losses = 0
    while len(found) < 1000:
        place = found[-1].offset + 1 if found else 0
        try:
            async with contextlib.aclosing(behind.read(app, place, prefetch=50)) as entries:
                async for entry in entries:
                    found.append(entry)
                    if len(found) == 1000:
                        break
                    if len(found) % 300 == 0:
                        proxy.close_all()
        except BrokerUnavailable:
            losses += 1
    assert losses  # the last one may come when all is read
    assert [entry.delivery.message.message_id for entry in found] == [f"e-{number}" for number in range(1000)]
    # The same broker goes on to consume.
    inbox = Inbox()
    subscription = await behind.consume(queue, prefetch=10, receive=inbox.receive)
    assert await behind.publish([to(queue, "after")]) == [None]
    assert [each.message.message_id for each in await inbox.until(1)] == ["after"]
    await subscription.close()


@pytest.mark.slow  # two restarts
async def test_a_tail_goes_on_after_the_broker_was_killed_and_repeats_nothing(
    rabbit_node: RabbitNode, app: str
) -> None:
    broker = RabbitBroker(rabbit_node.url, app=app)
    await broker.connect()
    try:
        await broker.declare(stream(app))
        assert set(await broker.publish([event(app, number) for number in range(100)])) == {None}
        source = Source(broker, app, Limits(), Masking())
        seen: list[str] = []
        halfway = asyncio.Event()

        async def follow() -> None:
            async for found in tail(source, EventFilter(), offset=0):
                assert not isinstance(found, Unreadable)
                seen.append(found.row.event_id)
                if len(seen) == 100:
                    halfway.set()
                if seen[-1] == "e-149":
                    break

        following = asyncio.create_task(follow())
        await asyncio.wait_for(halfway.wait(), 20)
        # RabbitMQ 3.10 writes down late that a stream was made: killed in its first second it never gets it back.
        for end in (rabbit_node.stop, rabbit_node.kill):
            await asyncio.to_thread(end)
            await asyncio.to_thread(rabbit_node.start)
        todo = [event(app, number) for number in range(100, 150)]
        async with asyncio.timeout(150):
            while todo:
                answers = await broker.publish(todo[:10])
                if answers[0] is None:
                    assert set(answers) == {None}
                    todo = todo[10:]
            await following
        # A publish whose confirm was lost is there twice, on the broker: the tail has what that has.
        kept = [read_event(entry, Limits()) async for entry in scan(broker, app, await broker.span(app))]
        assert seen == [found.row.event_id for found in kept]
        assert list(dict.fromkeys(seen)) == [f"e-{number}" for number in range(150)]
    finally:
        await broker.close()
