"""Schedules in a fleet of real workers: each tick fires once, also when the worker that looks after it dies."""

from __future__ import annotations

import time

import pytest

from engine.operations.schedules import list_schedules
from engine.runtime.plugins import load_all
from engine.storage.database import Database
from tests.support.workers import Fleet

PLUGIN = """
from datetime import datetime
from sqlalchemy import text
from engine import AsyncSession, Event, EventData, every, handler

class Beat(EventData, type="test.beat"):
    second: int

@every("1s", missed="all")
def beat(tick: datetime) -> Beat:
    return Beat(second=int(tick.timestamp()))

@handler(Beat)
async def note(event: Event[Beat], session: AsyncSession) -> None:
    assert event.timestamp.timestamp() == event.data.second
    await session.execute(text("INSERT INTO effects VALUES ('beat', :n)"), {"n": event.data.second})
"""

UNSTEADY = """
from engine import Event, EventData, every, handler

class Beat(EventData, type="test.beat"):
    second: int

calls = 0

@every("1h", missed="last", name="hourly")
async def broken() -> Beat:
    raise AssertionError("not before the hour")

@every("1s", name="unsteady", missed="all")
async def unsteady(tick) -> Beat | None:
    global calls
    calls += 1
    if calls <= 2:
        raise RuntimeError("not yet")
    return Beat(second=int(tick.timestamp())) if tick.second % 2 else None

@handler(Beat)
async def note(event: Event[Beat]) -> None:
    assert event.data.second % 2
"""


@pytest.mark.faults
async def test_each_tick_fires_once_through_the_death_of_its_worker(fleet: Fleet) -> None:
    await fleet.make_effects()
    plugin = fleet.plugin(PLUGIN)
    first = await fleet.start(plugin)
    await fleet.start(plugin)
    await fleet.until(lambda: len(fleet.effects("beat")) >= 3, "three ticks")
    fleet.tally.fault()
    await first.kill()
    seen = len(fleet.effects("beat"))
    await fleet.until(lambda: len(fleet.effects("beat")) >= seen + 4, "the other worker to go on")
    for worker in fleet.workers[1:]:
        assert await worker.terminate() == 0, worker.said()
    ticks = fleet.effects("beat")
    fleet.assert_once("beat", range(ticks[0], ticks[-1] + 1))
    assert fleet.query("SELECT count(*) FROM warren_failures") == [(0,)]


async def test_a_function_that_fails_is_called_again_and_holds_up_no_other(fleet: Fleet) -> None:
    await fleet.make_effects()
    plugin = fleet.plugin(UNSTEADY)
    worker = await fleet.start(plugin)
    await fleet.until(lambda: done(fleet) >= 2, "ticks after the failures")
    assert worker.said().count(f"schedule {fleet.app}.unsteady failed") == 2
    specs = load_all([str(plugin)], fleet.folder, app=fleet.app).schedules
    database = await Database.open(fleet.database)
    try:
        now = time.time()
        hourly, unsteady = await list_schedules(database, fleet.app, specs, now)
        assert (hourly.name, hourly.spec, hourly.last) == (f"{fleet.app}.hourly", "every 1h", None)
        assert hourly.next is not None
        assert hourly.next % 3600 == 0
        assert unsteady.last is not None
        assert unsteady.last % 2 == 1
        assert unsteady.worker == hourly.worker
        assert unsteady.worker is not None
        assert await worker.terminate() == 0, worker.said()
        assert [each.worker for each in await list_schedules(database, fleet.app, specs, now)] == [None, None]
    finally:
        await database.close()
    # What was missed while it failed has fired too, the oldest first.
    ids = [event_id for (event_id,) in fleet.query("SELECT event_id FROM warren_records ORDER BY event_id")]
    assert all(event_id.startswith(f"{fleet.app}.unsteady@") for event_id in ids)
    assert len(set(ids)) == len(ids)


def done(fleet: Fleet) -> int:
    return int(fleet.query("SELECT count(*) FROM warren_records WHERE state = 'done'")[0][0])
