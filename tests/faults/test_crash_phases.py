"""kill -9 at each point of a retry, of a dead letter on its way into the table, and of a redrive."""

from __future__ import annotations

import signal

import pytest

from engine.operations import redrive
from engine.operations.operator import Operator
from engine.runtime.application import Engine
from engine.storage.database import Database
from engine.storage.failure_search import Filter
from tests.runtime.events import Step
from tests.support.workers import Fleet

pytestmark = [pytest.mark.faults, pytest.mark.slow]

COUNT = 30
BROKEN = {number for number in range(COUNT) if number % 3 == 0}
FINE = set(range(COUNT)) - BROKEN

#: A handler arms the kill when a message of its kind gets so far; `MENDED` is the corrected program.
PLUGIN = """
import os
from sqlalchemy import text
from engine import AsyncSession, Context, Event, EventData, RetryPolicy, handler
from engine.testing.faults import kill_at

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

class Effect(EventData, type="test.effect"):
    number: int

armed = False

def arm(phase: str) -> None:
    global armed
    if os.environ.get("KILL_IN") == phase and not armed:
        armed = True
        kill_at(os.environ["KILL_AT"])

@handler(Step, retry=RetryPolicy(max_attempts=2, initial=1.2), concurrency=4)
async def book(event: Event[Step], ctx: Context, session: AsyncSession) -> None:
    await session.execute(text("INSERT INTO effects VALUES ('booked', :n)"), {"n": event.data.number})
    if "MENDED" not in os.environ:
        if ctx.attempt == 1:
            arm("failure")
            raise RuntimeError("flaky")
        if event.data.number % 3 == 0:
            arm("last failure")
            raise RuntimeError("broken")
        arm("second attempt")
    ctx.emit(Effect(number=event.data.number))

@handler(Effect, concurrency=4)
async def follow(event: Event[Effect], session: AsyncSession) -> None:
    await session.execute(text("INSERT INTO effects VALUES ('followed', :n)"), {"n": event.data.number})
"""

#: All first attempts fail here for one cause, and none shall be left waiting for that.
NO_CIRCUIT = {"WARREN_CIRCUIT": "0"}

PLACES = [
    *(("failure", point) for point in ("claimed", "committed", "relayed", "before-ack", "forwarded")),
    *(("second attempt", point) for point in ("claimed", "handled", "committed", "relayed", "before-ack")),
    *(("last failure", point) for point in ("committed", "relayed", "before-ack", "buried")),
]


@pytest.mark.parametrize(("phase", "point"), PLACES)
async def test_a_worker_killed_while_messages_fail(fleet: Fleet, phase: str, point: str) -> None:
    plugin = fleet.plugin(PLUGIN)
    await fleet.make_effects()
    doomed = await fleet.start(plugin, KILL_IN=phase, KILL_AT=point, **NO_CIRCUIT)
    await send(fleet)
    assert await doomed.ended() == -signal.SIGKILL, doomed.said()
    fleet.tally.fault()
    heir = await fleet.start(plugin, **NO_CIRCUIT)
    await fleet.until(lambda: settled(fleet, FINE, BROKEN), f"the end of all messages after a kill at {point}")
    assert await heir.terminate() == 0, heir.said()
    for step in ("booked", "followed"):
        fleet.assert_once(step, FINE)
    assert fleet.query("SELECT DISTINCT attempts FROM warren_failures") == [(2,)]


@pytest.mark.parametrize("point", ["operated", "claimed", "handled", "committed", "relayed", "before-ack"])
async def test_a_worker_killed_while_it_redrives(fleet: Fleet, point: str) -> None:
    plugin = fleet.plugin(PLUGIN)
    await fleet.make_effects()
    first = await fleet.start(plugin, **NO_CIRCUIT)
    await send(fleet)
    await fleet.until(lambda: settled(fleet, FINE, BROKEN), "the failures")
    assert await first.terminate() == 0, first.said()
    assert await redrive_all(fleet) == len(BROKEN)
    doomed = await fleet.start(plugin, ready=False, MENDED="yes", WARREN_CRASH_AT=point)
    assert await doomed.ended() == -signal.SIGKILL, doomed.said()
    fleet.tally.fault()
    heir = await fleet.start(plugin, MENDED="yes")
    await fleet.until(lambda: settled(fleet, FINE | BROKEN, BROKEN), f"the redriven after a kill at {point}")
    assert await heir.terminate() == 0, heir.said()
    for step in ("booked", "followed"):
        fleet.assert_once(step, FINE | BROKEN)
    assert await redrive_all(fleet) == 0, "what succeeded is not sent again"


async def send(fleet: Fleet) -> None:
    async with Engine(fleet.settings()) as engine:
        await engine.publish_many([Step(number=number) for number in range(COUNT)])


async def redrive_all(fleet: Fleet) -> int:
    """Order that all failures go back to their queues; how many will be sent, by whichever worker starts."""
    database = await Database.open(fleet.database)
    try:
        plan = await redrive.plan(database, None, Filter())
        if plan.ids:
            await redrive.start(
                database, plan, app=fleet.app, operator=Operator("test"), why="a kill in the midst of it"
            )
    finally:
        await database.close()
    return len(plan.ids)


def settled(fleet: Fleet, handled: set[int], failed: set[int]) -> bool:
    """Everything is done or dead and in the table, and nothing waits in the outbox."""
    states = dict(fleet.query("SELECT state, count(*) FROM warren_records GROUP BY state"))
    wanted = {"done": 2 * len(handled), "dead": len(failed - handled)}
    failures = fleet.query("SELECT count(*) FROM warren_failures")
    waiting = fleet.query("SELECT count(*) FROM warren_outbox")
    return (
        states == {state: count for state, count in wanted.items() if count}
        and failures == [(len(failed),)]
        and waiting == [(0,)]
    )
