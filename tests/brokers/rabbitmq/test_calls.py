"""Whatever aiormq ends a call with, the port's callers see a `BrokerError`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import pytest
from aiormq.exceptions import ChannelInvalidStateError

from engine.brokers.rabbitmq.broker import RabbitBroker
from engine.brokers.rabbitmq.calls import call
from engine.errors import BrokerError, BrokerUnavailable
from engine.model.message import Delivery
from engine.model.topology import Binding, Exchange, Queue, Topology
from engine.testing.proxy import Proxy
from tests.brokers.rabbitmq.conftest import to
from tests.support.amqp import Leftovers


@pytest.mark.parametrize("error", [Exception(), KeyError(7), ValueError("a frame"), asyncio.CancelledError()])
async def test_what_a_dying_reader_leaves_behind_is_a_lost_connection(error: BaseException) -> None:
    async def ends() -> None:
        raise error

    with pytest.raises(BrokerUnavailable, match="lost while declaring"):
        await call("declaring", ends(), 5)


async def test_what_is_raised_on_purpose_passes() -> None:
    async def ends() -> None:
        raise ChannelInvalidStateError("closed")

    with pytest.raises(ChannelInvalidStateError):
        await call("declaring", ends(), 5)


async def test_no_channel_on_a_connection_that_was_closed_meanwhile(amqp_url: str, app: str) -> None:
    broker = RabbitBroker(amqp_url, app=app)
    await broker.connect()
    line = broker._consuming.line
    assert line is not None
    await line.close()
    with pytest.raises(BrokerUnavailable, match="opened no channel"):
        await line.channel(5)
    await broker.close()


async def test_whatever_is_under_way_when_connections_are_cut(amqp_url: str, app: str, leftovers: Leftovers) -> None:
    """Cut at random moments: declares that hold a line for long, consumers that wait for their turn to start."""
    parts, chance = urlsplit(amqp_url), random.Random(7)
    names = [f"{app}.{number}" for number in range(4)]
    topology = Topology(
        (Exchange(app),),
        tuple(Queue(name, {"x-queue-type": "quorum"}) for name in names),
        tuple(Binding(app, name, "a.#") for name in names),
    )
    leftovers.topology(topology)
    loop = asyncio.get_running_loop()
    end, errors = loop.time() + 2.5, set[type[BaseException]]()

    async def repeat(work: Callable[[], Awaitable[object]]) -> None:
        while loop.time() < end:
            try:
                await work()
            except BrokerError as error:
                errors.add(type(error))
                await asyncio.sleep(0.01)

    async with Proxy(parts.hostname or "", parts.port or 0) as proxy:
        broker = RabbitBroker(f"amqp://guest:guest@127.0.0.1:{proxy.port}/", app=app, timeout=2)
        await broker.connect()
        await broker.declare(topology)

        async def consume() -> None:
            def receive(delivery: Delivery) -> None: ...

            subscription = await broker.consume(chance.choice(names), prefetch=10, receive=receive)
            await subscription.close()

        async def publish() -> None:
            answers = await broker.publish([to(name) for name in names])
            assert all(answer is None or isinstance(answer, BrokerError) for answer in answers)

        async def cut() -> None:
            while loop.time() < end:
                await asyncio.sleep(chance.uniform(0.02, 0.2))
                proxy.close_all()

        # More consumers than may start at a time: the others wait for the gate with a line in hand.
        works = [publish, *[consume] * 24, *[lambda: broker.declare(topology)] * 3, lambda: broker.depths(names)]
        await asyncio.gather(cut(), *(repeat(work) for work in works))
        await broker.close()
    assert BrokerUnavailable in errors
