"""Expiry on time, messages at once, and quiet when there is nothing to do."""

from __future__ import annotations

import asyncio
import time

import pytest

from engine.brokers.embedded.file import BrokerFile
from engine.brokers.embedded.session import Session
from engine.brokers.embedded.thread import POLL_QUIET, QUIET_AFTER
from tests.brokers.embedded.conftest import Connect, Inbox, declare, drain, ids, rows, to

TTL = 0.3
#: What a busy machine may add, in seconds.
GRACE = 0.25


async def test_messages_expire_on_time_and_in_order(connect: Connect) -> None:
    broker = await connect()
    due = await declare(broker, "due")
    rung = await declare(broker, "rung", message_ttl=300, dead_letter_exchange="", dead_letter_routing_key=due)
    inbox = Inbox()
    await broker.consume(due, prefetch=100, receive=inbox.receive)
    late = []
    for number in range(5):
        sent = time.time()
        await broker.publish(to(rung, number))
        assert ids(await inbox.take(1)) == [str(number)]
        late.append(time.time() - sent - TTL)
    assert min(late) >= 0
    assert min(late) < 0.02
    assert max(late) < GRACE


async def test_any_connected_broker_lets_messages_expire(connect: Connect) -> None:
    """The one that published is gone, and nobody consumes."""
    watcher, publisher = await connect(), await connect()
    due = await declare(publisher, "due")
    rung = await declare(publisher, "rung", message_ttl=300, dead_letter_exchange="", dead_letter_routing_key=due)
    await publisher.publish(to(rung, *range(2000)))
    await publisher.close()
    end = time.monotonic() + TTL + 2
    while (await watcher.depths([due]))[due] != (2000, 0):
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    assert await drain(watcher, rung) == []


async def test_what_expires_without_a_dead_letter_exchange_is_gone(connect: Connect) -> None:
    now = [1_000_000.0]
    broker = await connect(clock=lambda: now[0])
    queue = await declare(broker, "q", message_ttl=60_000)
    await broker.publish(to(queue, "1"))
    now[0] += 59
    await broker.publish(to(queue, "2"))
    assert (await broker.depths([queue]))[queue] == (2, 0)
    now[0] += 1
    assert await drain(broker, queue) == ["2"]
    assert await rows(broker, "contents") == 0


async def test_a_message_given_back_after_its_time_expires(connect: Connect) -> None:
    now = [1_000_000.0]
    broker = await connect(clock=lambda: now[0])
    due = await declare(broker, "due")
    queue = await declare(broker, "q", message_ttl=1000, dead_letter_exchange="", dead_letter_routing_key=due)
    await broker.publish(to(queue, "1"))
    inbox = Inbox()
    subscription = await broker.consume(queue, prefetch=1, receive=inbox.receive)
    out = await inbox.take(1)
    now[0] += 10
    letters = Inbox()
    await broker.consume(due, prefetch=1, receive=letters.receive)
    await subscription.nack(out, requeue=True)
    assert ids(await letters.take(1)) == ["1"]
    assert inbox.empty()


async def test_a_lone_message_does_not_wait_for_a_poll(connect: Connect) -> None:
    broker = await connect()
    queue = await declare(broker, "q")
    inbox = Inbox()
    subscription = await broker.consume(queue, prefetch=1, receive=inbox.receive)
    times = []
    for number in range(20):
        started = time.perf_counter()
        await broker.publish(to(queue, number))
        await subscription.ack(await inbox.take(1))
        times.append(time.perf_counter() - started)
    assert sorted(times)[5] < POLL_QUIET / 2


async def test_an_idle_broker_hardly_looks_and_never_writes(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, transactions = [0], [0]
    stirred, look = BrokerFile.stirred, Session._look

    def counting_stirred(file: BrokerFile) -> bool:
        looks[0] += 1
        return stirred(file)

    def counting_look(session: Session, connection: object) -> object:
        transactions[0] += 1
        return look(session, connection)  # type: ignore[arg-type]

    broker = await connect()
    queue = await declare(broker, "q")
    await broker.consume(queue, prefetch=1, receive=Inbox().receive)
    await asyncio.sleep(QUIET_AFTER + 0.1)
    monkeypatch.setattr(BrokerFile, "stirred", counting_stirred)
    monkeypatch.setattr(Session, "_look", counting_look)
    await asyncio.sleep(1)
    assert 1 <= looks[0] <= 1.1 / POLL_QUIET
    assert transactions[0] == 0


async def test_one_process_sees_at_once_what_another_does(connect: Connect) -> None:
    here, there = await connect(), await connect()
    queue = await declare(here, "q")
    inbox = Inbox()
    subscription = await here.consume(queue, prefetch=1, receive=inbox.receive)
    times = []
    for number in range(10):
        await asyncio.sleep(0.005 * number)
        started = time.perf_counter()
        await there.publish(to(queue, number))
        await subscription.ack(await inbox.take(1))
        times.append(time.perf_counter() - started)
    assert sum(times) < len(times) * 5 * POLL_QUIET
