"""Projections in a fleet of real workers: kill -9 between reading and committing, and each event is applied once."""

from __future__ import annotations

import signal

import pytest

from engine.runtime.application import Engine
from tests.runtime.events import Step
from tests.support.homes import each_home
from tests.support.workers import Fleet

COUNT = 40

PLUGIN = """
from sqlalchemy import text
from engine import AsyncSession, Context, Event, EventData, handler, projection

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

class Effect(EventData, type="test.effect"):
    number: int

@handler(Step, concurrency=4)
async def follow(event: Event[Step], ctx: Context) -> None:
    ctx.emit(Effect(number=event.data.number))

@projection(Effect, batch=5)
async def effects(events: list[Event[Effect]], session: AsyncSession) -> None:
    for event in events:
        await session.execute(text("INSERT INTO effects VALUES ('projected', :n)"), {"n": event.data.number})
"""


def quick(home: str, times: str) -> bool:
    return home == "embedded-sqlite"


@pytest.mark.faults
@pytest.mark.parametrize(("fleet", "times"), each_home(("1", "3"), quick), indirect=["fleet"])
async def test_a_worker_killed_before_the_commit_loses_and_doubles_nothing(fleet: Fleet, times: str) -> None:
    plugin = fleet.plugin(PLUGIN)
    await fleet.make_effects()
    doomed = await fleet.start(plugin, WARREN_CRASH_AT=f"projected:{times}")
    async with Engine(fleet.settings()) as engine:
        for start in range(0, COUNT, 10):
            await engine.publish_many([Step(number=number) for number in range(start, start + 10)])
    assert await doomed.ended() == -signal.SIGKILL, doomed.said()
    fleet.tally.fault()
    heirs = [await fleet.start(plugin), await fleet.start(plugin)]
    await fleet.until(lambda: len(fleet.effects("projected")) >= COUNT, "the projection to have come to the end")
    for heir in heirs:
        assert await heir.terminate() == 0, heir.said()
    fleet.assert_once("projected", range(COUNT))
    assert fleet.query("SELECT applied, stale, skipped FROM warren_projections") == [(COUNT, 0, 0)]


async def test_it_wakes_on_a_commit_and_is_handed_over(fleet: Fleet) -> None:
    plugin = fleet.plugin(PLUGIN)
    await fleet.make_effects()
    first = await fleet.start(plugin)
    second = await fleet.start(plugin)
    async with Engine(fleet.settings()) as engine:
        await engine.publish_many([Step(number=number) for number in range(10)])
        await fleet.until(lambda: len(fleet.effects("projected")) == 10, "the first events")
        holders = [worker for worker in (first, second) if "is looked after here" in worker.said()]
        assert len(holders) == 1
        assert await holders[0].terminate() == 0, holders[0].said()
        await engine.publish_many([Step(number=number) for number in range(10, 20)])
        await fleet.until(lambda: len(fleet.effects("projected")) == 20, "the other worker to go on")
    fleet.assert_once("projected", range(20))
