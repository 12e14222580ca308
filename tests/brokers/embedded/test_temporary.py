"""Queues that go with their connection: with its death, and with the file."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.brokers.embedded import EmbeddedBroker
from engine.errors import BrokerError, BrokerUnavailable, Unroutable
from engine.model.message import Message, Publication
from engine.model.topology import Exchange, Topology
from tests.brokers.embedded.conftest import Connect, Inbox, Spawn, declare, rows, to


def event(key: str, exchange: str = "amq.topic") -> Publication:
    return Publication(exchange, key, Message(b"{}", message_id=key))


async def test_a_listener_in_another_process_hears_and_goes_when_it_is_killed(
    broker: EmbeddedBroker, spawn: Spawn
) -> None:
    child = await spawn("listen", "order.*")
    assert await child.line() == ["listens"]
    assert await broker.publish([event("order.placed")]) == [None]
    assert await child.line() == ["hears", "order.placed"]
    await child.kill()
    async with asyncio.timeout(10):
        while not isinstance((await broker.publish([event("order.paid")]))[0], Unroutable):
            await asyncio.sleep(0.02)
    counts = [
        await rows(broker, table) for table in ("temporary", "queues", "bindings", "contents", "ready", "unacked")
    ]
    assert counts == [0] * 6  # nothing of it is left


async def test_what_is_heard_is_gone_from_the_file(broker: EmbeddedBroker) -> None:
    inbox = Inbox()
    listener = await broker.listen("amq.topic", ["#"], inbox.receive, lambda: None)
    await broker.publish([event(str(number)) for number in range(2000)])
    heard = await inbox.take(2000)
    assert [delivery.routing_key for delivery in heard] == [str(number) for number in range(2000)]
    assert [await rows(broker, table) for table in ("contents", "ready", "unacked")] == [0, 0, 0]
    await listener.close()
    assert await rows(broker, "queues") == 0


async def test_when_the_file_is_replaced_listeners_begin_anew_and_requests_are_lost(
    path: Path, connect: Connect
) -> None:
    broker = await connect()
    await broker.declare(Topology((Exchange("events"),)))
    queue = await declare(broker, "q")
    inbox, missed, lost = Inbox(), asyncio.Event(), asyncio.Queue[BrokerError]()
    await broker.listen("events", ["order.*"], inbox.receive, missed.set)
    replies = await broker.replies(Inbox().receive, lost.put_nowait)
    assert await replies.publish(to(queue, "1")) == [None]
    for file in path.parent.glob("broker.db*"):
        if file.is_file():
            file.unlink()
    async with asyncio.timeout(20):
        await missed.wait()
        assert isinstance(await lost.get(), BrokerUnavailable)
    await broker.publish([event("order.placed", "events")])
    assert [delivery.routing_key for delivery in await inbox.take(1)] == ["order.placed"]
    assert lost.empty()
    again = await broker.replies(Inbox().receive, lost.put_nowait)
    assert await again.publish(to(queue, "2")) == [None]
