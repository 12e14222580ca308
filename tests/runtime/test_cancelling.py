"""Delayed events, and their cancel: True only where nothing is ever delivered."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from engine.errors import DatabaseUnavailable, UsageError
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


async def test_a_cancelled_event_is_never_delivered_and_the_others_are(fleet: Fleet) -> None:
    await fleet.make_effects()
    await fleet.start(fleet.plugin(PLUGIN))
    async with Engine(fleet.settings()) as engine, Engine(fleet.settings()) as elsewhere:
        begun = time.monotonic()
        kept = await engine.publish(Step(number=1), delay=1.0)
        dropped = await engine.publish(Step(number=2), delay=1.0)
        free = await engine.publish(Step(number=3), delay=1.0, cancellable=False)
        many = await engine.publish_many([Step(number=number) for number in range(10, 20)], delay=1.0)
        assert await elsewhere.cancel(dropped.id)
        assert await engine.cancel(dropped), "asked again it says the same"
        assert all([await elsewhere.cancel(event.id) for event in many[5:]])
        assert not await engine.cancel(free.id)
        with pytest.raises(UsageError, match="was cancelled"):
            await engine.publish(Step(number=2), delay=1.0, id=dropped.id)
        await fleet.until(lambda: len(fleet.effects("booked")) >= 7, "the events that were not cancelled")
        assert time.monotonic() - begun >= 0.95
        assert not await elsewhere.cancel(kept.id)
        assert not await engine.cancel("nothing-known")
        for impossible in (-1.0, float("nan"), float("inf"), 4e8):
            with pytest.raises(UsageError, match="A delay of"):
                await engine.publish(Step(number=4), delay=impossible)
        # All rungs are empty: what was cancelled is not on its way any more.
        await empty(engine, fleet)
    fleet.assert_once("booked", [1, 3, *range(10, 15)])


async def test_cancelling_when_it_is_due_is_one_or_the_other(fleet: Fleet) -> None:
    """Each event is cancelled or delivered, never both and never neither."""
    await fleet.make_effects()
    await fleet.start(fleet.plugin(PLUGIN))
    async with Engine(fleet.settings()) as engine:
        events = await engine.publish_many([Step(number=number) for number in range(60)], delay=0.5)
        cancelled = set()
        for event in events:
            if await engine.cancel(event.id):
                cancelled.add(event.data.number)
            await asyncio.sleep(0.02)
        delivered = set(range(60)) - cancelled
        assert cancelled
        assert delivered
        await fleet.until(lambda: len(fleet.effects("booked")) >= len(delivered), "all that was not cancelled")
        await empty(engine, fleet)
    fleet.assert_once("booked", delivered)


@pytest.mark.faults
async def test_a_worker_killed_between_the_decision_and_the_target_loses_nothing(fleet: Fleet) -> None:
    await fleet.make_effects()
    plugin = fleet.plugin(PLUGIN)
    doomed = await fleet.start(plugin, WARREN_CRASH_AT="decided:1")
    async with Engine(fleet.settings()) as engine:
        event = await engine.publish(Step(number=1), delay=0.25)
        assert await doomed.ended() == -signal.SIGKILL, doomed.said()
        fleet.tally.fault()
        assert not await engine.cancel(event.id), "it was decided that it is sent"
        await fleet.start(plugin)
        await fleet.until(lambda: bool(fleet.effects("booked")), "the event")
    fleet.assert_once("booked", [1])


async def test_without_a_database_a_delay_works_and_a_cancel_says_why_not(fleet: Fleet) -> None:
    await fleet.make_effects()
    await fleet.start(fleet.plugin(PLUGIN))
    async with Engine(fleet.settings(), database=False) as engine:
        event = await engine.publish(Step(number=1), delay=0.25)
        with pytest.raises(UsageError, match="made without one"):
            await engine.cancel(event.id)
        with pytest.raises(UsageError, match="made without one"):
            await engine.publish(Step(number=2), delay=1.0, cancellable=True)
        with pytest.raises(UsageError, match="made without one"):
            engine.outbox(None)  # type: ignore[arg-type]
        await fleet.until(lambda: bool(fleet.effects("booked")), "the event")
    fleet.assert_once("booked", [1])


async def test_a_database_that_is_away_is_no_matter_for_what_does_not_need_it(fleet: Fleet) -> None:
    settings = fleet.settings(database="postgresql://nobody@127.0.0.1:1/nothing")
    async with Engine(settings, timeout=2.0) as engine:
        await engine.publish(Step(number=1))
        with pytest.raises(DatabaseUnavailable, match="cancellable=False"):
            await engine.publish(Step(number=2), delay=60.0)
        with pytest.raises(DatabaseUnavailable):
            await engine.cancel("any")
        with pytest.raises(DatabaseUnavailable):
            engine.outbox(None)  # type: ignore[arg-type]
    await fleet.make_effects()  # for the fixture, which asks the database what was declared


async def empty(engine: Engine, fleet: Fleet) -> None:
    """Wait until nothing is on a rung or due."""
    from engine.model.topology import delay_topology

    names = [queue.name for queue in delay_topology(fleet.app).queues]
    async with asyncio.timeout(20):
        while any(depth is not None and depth.ready for depth in (await engine.broker.depths(names)).values()):
            await asyncio.sleep(0.1)
