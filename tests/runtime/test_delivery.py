"""Duplicates, several workers, drain: what at-least-once delivery must not show."""

from __future__ import annotations

import asyncio
import random
import uuid
from datetime import UTC, datetime

import pytest

from engine.model.codec import to_message
from engine.model.event import new_event
from engine.model.message import Message
from engine.runtime.application import Engine
from tests.runtime.events import Step
from tests.support.workers import Fleet

PLUGIN = """
from sqlalchemy import text
from engine import AsyncSession, Event, EventData, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

@handler(Step)
async def book(event: Event[Step], session: AsyncSession) -> None:
    await session.execute(text("INSERT INTO effects VALUES ('booked', :n)"), {"n": event.data.number})
"""

SLOW = """
import asyncio
from engine import Event, EventData, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

@handler(Step)
async def nap(event: Event[Step]) -> None:
    await asyncio.sleep(0.01)
"""


def step(number: int, event_id: str | None = None) -> tuple[str, Message]:
    event = new_event(Step(number=number), id=event_id or str(uuid.uuid4()), now=datetime.now(UTC), source="test")
    return event.type, to_message(event)


async def test_duplicates_and_two_workers_on_one_queue_have_one_effect(fleet: Fleet) -> None:
    count = 300
    plugin = fleet.plugin(PLUGIN)
    await fleet.make_effects()
    await asyncio.gather(fleet.start(plugin), fleet.start(plugin))
    chance = random.Random(5)
    messages = [step(number) for number in range(count)]
    messages += chance.sample(messages, count // 5)
    chance.shuffle(messages)
    async with Engine(fleet.settings()) as engine:
        for start in range(0, len(messages), 40):
            await engine.publish_messages(messages[start : start + 40])
    await fleet.until(lambda: len(done(fleet)) == count, "all records to be done")
    for worker in fleet.workers:
        assert await worker.terminate() == 0
    numbers = sorted(number for (number,) in fleet.query("SELECT number FROM effects"))
    assert numbers == list(range(count))
    # Each worker ended all it had: every copy was either handled or counted as a duplicate.
    handled, duplicates, parked = fleet.query("SELECT sum(handled), sum(duplicates), sum(parked) FROM warren_stats")[0]
    assert handled == count
    assert duplicates + parked >= count // 5


async def test_sigterm_under_load_gives_nothing_back(fleet: Fleet) -> None:
    count = 600
    plugin = fleet.plugin(SLOW)
    first = await fleet.start(plugin)
    async with Engine(fleet.settings()) as engine:
        await engine.publish_many([Step(number=number) for number in range(count)])
        await fleet.until(lambda: len(done(fleet)) > 20, "the worker to be at work")
        assert await first.terminate() == 0
        assert "is drained" in first.said()
        assert fleet.query("SELECT count(*) FROM warren_records WHERE state <> 'done'") == [(0,)]
        handled = len(done(fleet))
        depth = (await engine.broker.depths([f"{fleet.app}.plugin.nap"]))[f"{fleet.app}.plugin.nap"]
        assert depth is not None
        assert depth.ready == count - handled
    second = await fleet.start(plugin)
    await fleet.until(lambda: len(done(fleet)) == count, "the second worker to handle the rest")
    assert await second.terminate() == 0
    # Nothing was redelivered: the second worker met no message that the first had claimed.
    totals = fleet.query("SELECT sum(handled), sum(duplicates), sum(stale), sum(parked) FROM warren_stats")
    assert totals == [(count, 0, 0, 0)]
    assert fleet.query("SELECT max(token) FROM warren_records") == [(1,)]


@pytest.mark.parametrize("stopped", [True, False])
async def test_a_message_that_waits_in_the_queue_is_handled_when_a_worker_comes(fleet: Fleet, stopped: bool) -> None:
    """Durable queues: what is published while no worker runs is not lost."""
    plugin = fleet.plugin(SLOW)
    first = await fleet.start(plugin)
    await (first.terminate() if stopped else first.kill())
    async with Engine(fleet.settings()) as engine:
        await engine.publish(Step(number=1))
    await fleet.start(plugin)
    await fleet.until(lambda: len(done(fleet)) == 1, "the message to be handled")


def done(fleet: Fleet) -> list[tuple[str]]:
    return fleet.query("SELECT event_id FROM warren_records WHERE state = 'done'")
