"""Batch handlers: one transaction a batch, only the culprit fails, and kill -9 changes nothing."""

from __future__ import annotations

import signal

import pytest

from engine.runtime.application import Engine
from tests.runtime.events import Step
from tests.support.workers import Fleet

COUNT = 120
BROKEN = [number for number in range(COUNT) if number % 50 == 7]
FINE = [number for number in range(COUNT) if number % 50 != 7]

PLUGIN = """
from sqlalchemy import text
from engine import AsyncSession, Context, Event, EventData, RetryPolicy, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

class Effect(EventData, type="test.effect"):
    number: int

QUICK = RetryPolicy(max_attempts=2, initial=0.25, jitter=False)

@handler(Step, retry=QUICK, batch=25)
async def book(events: list[Event[Step]], ctx: Context, session: AsyncSession) -> None:
    for event in events:
        await session.execute(text("INSERT INTO effects VALUES ('booked', :n)"), {"n": event.data.number})
        if event.data.number % 50 == 7:
            raise RuntimeError("broken")
        ctx.emit(Effect(number=event.data.number), cause=event)
    await session.execute(text("INSERT INTO effects VALUES ('batch', :n)"), {"n": len(events)})

@handler(Step, retry=QUICK, batch=25, batch_wait=0.2)
async def add(events: list[Event[Step]], ctx: Context) -> None:
    if any(event.data.number % 50 == 7 for event in events):
        raise RuntimeError("broken")
    for event in events:
        ctx.emit(Effect(number=1000 + event.data.number))

@handler(Effect, batch=50)
async def follow(events: list[Event[Effect]], session: AsyncSession) -> None:
    for event in events:
        await session.execute(text("INSERT INTO effects VALUES ('followed', :n)"), {"n": event.data.number})
"""


async def publish(fleet: Fleet) -> None:
    async with Engine(fleet.settings()) as engine:
        await engine.publish_many([Step(number=number) for number in range(COUNT)])


def settled(fleet: Fleet) -> bool:
    """All steps in two queues, and all effects of those that went well."""
    ended = dict(fleet.query("SELECT state, count(*) FROM warren_records GROUP BY state"))
    failures = fleet.query("SELECT count(*) FROM warren_failures")[0][0]
    waiting = fleet.query("SELECT count(*) FROM warren_outbox")[0][0]
    return ended == {"done": 4 * len(FINE), "dead": 2 * len(BROKEN)} and failures == 2 * len(BROKEN) and waiting == 0


def assert_each_once(fleet: Fleet) -> None:
    fleet.assert_once("booked", FINE)
    fleet.assert_once("followed", [*FINE, *(1000 + number for number in FINE)])
    assert sum(fleet.effects("batch")) == len(FINE)
    # Only the culprits count failed attempts.
    assert fleet.query("SELECT DISTINCT attempts FROM warren_failures") == [(2,)]
    assert fleet.query("SELECT max(attempts) FROM warren_records WHERE state = 'done'") == [(1,)]


async def test_a_batch_is_handled_together_and_only_the_culprit_fails(fleet: Fleet) -> None:
    plugin = fleet.plugin(PLUGIN)
    await fleet.make_effects()
    worker = await fleet.start(plugin)
    await publish(fleet)
    await fleet.until(lambda: settled(fleet), "the end of all batches")
    assert await worker.terminate() == 0, worker.said()
    assert_each_once(fleet)
    assert 1 < max(fleet.effects("batch")) <= 25
    assert "which is run again one by one: RuntimeError" in worker.said()
    handled = dict(fleet.query("SELECT handler, handled FROM warren_stats"))
    assert handled == {"book": len(FINE), "add": len(FINE), "follow": 2 * len(FINE)}


LONG = ("claimed:1", "handled:1", "committed:3")


@pytest.mark.faults
@pytest.mark.parametrize(
    "point", [*(pytest.param(each, marks=pytest.mark.slow) for each in LONG), "claimed:3", "handled:3", "committed:1"]
)
async def test_a_worker_killed_in_a_batch_loses_and_doubles_nothing(fleet: Fleet, point: str) -> None:
    plugin = fleet.plugin(PLUGIN)
    await fleet.make_effects()
    doomed = await fleet.start(plugin, WARREN_CRASH_AT=point)
    await publish(fleet)
    assert await doomed.ended() == -signal.SIGKILL, doomed.said()
    fleet.tally.fault()
    heir = await fleet.start(plugin)
    await fleet.until(lambda: settled(fleet), f"the end of all batches after a kill at {point}")
    assert await heir.terminate() == 0, heir.said()
    assert_each_once(fleet)
