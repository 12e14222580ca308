"""Several processes at one broker file, and their deaths."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from engine.brokers.embedded import EmbeddedBroker
from tests.brokers.embedded.conftest import Connect, Inbox, Spawn, declare, drain, ids, rows, to

pytestmark = pytest.mark.faults


async def test_another_process_publishes(broker: EmbeddedBroker, spawn: Spawn) -> None:
    queue = await declare(broker, "q")
    inbox = Inbox()
    subscription = await broker.consume(queue, prefetch=100, receive=inbox.receive)
    child = await spawn("publish", queue, 250)
    first = await inbox.take(100)
    assert inbox.empty()
    await subscription.ack(first)
    second = await inbox.take(100)
    await subscription.ack(second)
    third = await inbox.take(50)
    assert ids(first + second + third) == [str(n) for n in range(250)]
    assert await child.line() == ["published", "250"]


async def test_what_a_killed_process_held_comes_again_in_order(broker: EmbeddedBroker, spawn: Spawn) -> None:
    queue = await declare(broker, "q")
    await broker.publish(to(queue, *range(20)))
    child = await spawn("hold", queue, 10)
    for n in range(10):
        assert await child.line() == ["holds", str(n)]
    inbox = Inbox()
    await broker.consume(queue, prefetch=20, receive=inbox.receive)
    assert ids(await inbox.take(10)) == [str(n) for n in range(10, 20)]
    assert (await broker.depths([queue]))[queue] == (0, 2)
    await child.kill()
    died = time.monotonic()
    back = await inbox.take(10)
    assert time.monotonic() - died < 3
    assert ids(back) == [str(n) for n in range(10)]
    assert all(delivery.redelivered for delivery in back)
    assert (await broker.depths([queue]))[queue] == (0, 1)


async def test_a_forked_child_does_not_keep_its_dead_parent_alive(broker: EmbeddedBroker, spawn: Spawn) -> None:
    queue = await declare(broker, "q")
    await broker.publish(to(queue, "1"))
    child = await spawn("hold_and_fork", queue, 10)
    forked = int((await child.line())[1])
    try:
        assert await child.line() == ["holds", "1"]
        await child.kill()
        inbox = Inbox()
        await broker.consume(queue, prefetch=10, receive=inbox.receive)
        assert ids(await inbox.take(1, seconds=5)) == ["1"]
    finally:
        os.kill(forked, signal.SIGKILL)


async def test_deaths_count_towards_the_delivery_limit(broker: EmbeddedBroker, spawn: Spawn) -> None:
    dead = await declare(broker, "dead")
    queue = await declare(broker, "q", delivery_limit=1, dead_letter_exchange="", dead_letter_routing_key=dead)
    letters = Inbox()
    await broker.consume(dead, prefetch=10, receive=letters.receive)
    await broker.publish(to(queue, "1"))
    for _ in range(2):
        child = await spawn("hold", queue, 1)
        assert await child.line() == ["holds", "1"]
        await child.kill()
    assert ids(await letters.take(1)) == ["1"]


async def test_two_processes_share_a_queue(broker: EmbeddedBroker, spawn: Spawn) -> None:
    queue = await declare(broker, "q")
    child = await spawn("work", queue, 10)
    assert await child.line() == ["ready"]
    inbox = Inbox()
    subscription = await broker.consume(queue, prefetch=10, receive=inbox.receive)
    mine: list[str | None] = []
    theirs: list[str | None] = []
    more = asyncio.Event()

    async def take_mine() -> None:
        while True:
            deliveries = await inbox.take(1)
            mine.extend(ids(deliveries))
            await subscription.ack(deliveries)
            more.set()

    async def read_theirs() -> None:
        while True:
            theirs.append((await child.line())[1])
            more.set()

    working = [asyncio.create_task(take_mine()), asyncio.create_task(read_theirs())]
    try:
        async with asyncio.timeout(20):
            for start in range(0, 400, 40):
                assert await broker.publish(to(queue, *range(start, start + 40))) == [None] * 40
                while len(mine) + len(theirs) < start + 40:
                    await more.wait()
                    more.clear()
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    assert sorted(int(i or 0) for i in mine + theirs) == list(range(400))
    assert mine  # which of them is quicker is no promise
    assert theirs


async def test_nothing_confirmed_is_lost_when_the_publisher_is_killed(connect: Connect, spawn: Spawn) -> None:
    broker = await connect()
    queue = await declare(broker, "q")
    for turn in range(3):
        child = await spawn("flood", queue)
        confirmed: set[str] = set()
        for _ in range(100 + 37 * turn):
            confirmed.update((await child.line())[1:])
        await child.kill()
        while words := await child.line():
            confirmed.update(words[1:])
        inbox = Inbox()
        subscription = await broker.consume(queue, prefetch=100_000, receive=inbox.receive)
        depth = (await broker.depths([queue]))[queue]
        assert depth is not None
        found: set[str | None] = set()
        while not confirmed <= found:
            deliveries = await inbox.take(1)
            found.update(ids(deliveries))
            await subscription.ack(deliveries)
        await subscription.close()
        await drain(broker, queue)
    assert await rows(broker, "contents") == 0
    assert await rows(broker, "unacked") == 0


async def test_a_connection_taken_for_dead_joins_again_and_its_late_acks_are_ignored(connect: Connect) -> None:
    first, second = await connect(), await connect()
    queue = await declare(first, "q")
    mine, theirs = Inbox(), Inbox()
    subscription = await first.consume(queue, prefetch=1, receive=mine.receive)
    await first.publish(to(queue, "1"))
    (out,) = await mine.take(1)
    other = await second.consume(queue, prefetch=1, receive=theirs.receive)
    for lock in first.path.with_name(first.path.name + ".connections").iterdir():
        lock.unlink()
    (again,) = await theirs.take(1)
    assert again.redelivered
    await subscription.ack([out])
    assert await rows(first, "contents") == 1
    await first.publish(to(queue, "2"))
    (second_out,) = await mine.take(1)
    assert second_out.generation > out.generation
    await subscription.ack([second_out])
    await other.ack([again])
    await other.close()
    assert await rows(first, "contents") == 0
