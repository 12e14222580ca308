"""kill -9 of the worker at each named point: nothing lost, each database effect once, nothing forked."""

from __future__ import annotations

import signal

import pytest

from engine.runtime.application import Engine
from engine.runtime.points import POINTS
from tests.runtime.events import Step
from tests.support.homes import each_home
from tests.support.workers import Fleet, WorkerProcess

COUNT = 60
#: How many of them are published with a delay, and might be cancelled until they are due.
DELAYED = 12

PLUGIN = """
from sqlalchemy import text
from engine import AsyncSession, Context, Event, EventData, RetryPolicy, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

class Effect(EventData, type="test.effect"):
    number: int

QUICK = RetryPolicy(max_attempts=2, initial=0.25, jitter=False)

@handler(Step, retry=QUICK, concurrency=4)
async def book(event: Event[Step], ctx: Context, session: AsyncSession) -> None:
    await session.execute(text("INSERT INTO effects VALUES ('booked', :n)"), {"n": event.data.number})
    if event.data.number % 6 == 1 and ctx.attempt == 1:
        raise RuntimeError("flaky")
    if event.data.number % 10 == 3:
        raise RuntimeError("broken")
    ctx.emit(Effect(number=event.data.number))

@handler(Effect, concurrency=4)
async def follow(event: Event[Effect], session: AsyncSession) -> None:
    await session.execute(text("INSERT INTO effects VALUES ('followed', :n)"), {"n": event.data.number})

@handler(Step, retry=QUICK, concurrency=4)
async def plain(event: Event[Step], ctx: Context) -> None:
    if event.data.number % 6 == 2 and ctx.attempt == 1:
        raise RuntimeError("flaky")
"""

#: Some are not passed here: test_cancelling.py, test_executor.py, test_projector.py and test_strict_order.py do.
ON_THE_WAY = [name for name in POINTS if name not in ("decided", "operated", "projected", "routed")]

BROKEN = [number for number in range(COUNT) if number % 10 == 3]
FINE = [number for number in range(COUNT) if number % 10 != 3]


#: The third time is later in the life of the worker, when work of every kind is in flight.
PLACES = [f"{point}:{times}" for times in (1, 3) for point in ON_THE_WAY]
#: Where a broker makes a difference.
AT_THE_BROKER = ("relayed:1", "before-ack:1", "forwarded:1")


def quick(home: str, place: str) -> bool:
    return place in AT_THE_BROKER if home == "rabbitmq-sqlite" else home == "embedded-sqlite" and place.endswith(":1")


@pytest.mark.faults
@pytest.mark.parametrize(("fleet", "point"), each_home(PLACES, quick), indirect=["fleet"])
async def test_a_worker_killed_at_a_point_loses_and_doubles_nothing(fleet: Fleet, point: str) -> None:
    plugin = fleet.plugin(PLUGIN)
    await fleet.make_effects()
    doomed = await fleet.start(plugin, WARREN_CRASH_AT=point)
    await publish(fleet, doomed, gradually=not point.endswith(":1"))
    assert await doomed.ended() == -signal.SIGKILL, doomed.said()
    fleet.tally.fault()
    heir = await fleet.start(plugin)
    await fleet.until(lambda: settled(fleet), f"the end of all messages after a kill at {point}")
    assert await heir.terminate() == 0, heir.said()
    assert_each_once(fleet)


async def publish(fleet: Fleet, doomed: WorkerProcess, *, gradually: bool) -> None:
    """All steps, the last ones delayed. Gradually is by tens, one of which is broken each time, until the worker is dead.

    Else all might be written in one group, and no point be passed a third time.
    """
    size = 10 if gradually else COUNT
    async with Engine(fleet.settings()) as engine:
        for start in range(0, COUNT, size):
            steps = [Step(number=number) for number in range(start, start + size)]
            late = [step for step in steps if step.number >= COUNT - DELAYED]
            await engine.publish_many(steps[: len(steps) - len(late)])
            await engine.publish_many(late, delay=0.3)
            if gradually:
                await fleet.until(
                    lambda count=start // size + 1: doomed.process.poll() is not None or buried(fleet) >= count,  # type: ignore[misc]
                    "a dead letter to be in the table",
                )


def buried(fleet: Fleet) -> int:
    return int(fleet.query("SELECT count(*) FROM warren_failures")[0][0])


def settled(fleet: Fleet) -> bool:
    """Every message is done or dead, every dead letter is in the table, and nothing waits in the outbox."""
    ended = dict(fleet.query("SELECT state, count(*) FROM warren_records GROUP BY state"))
    failures = fleet.query("SELECT count(*) FROM warren_failures")[0][0]
    waiting = fleet.query("SELECT count(*) FROM warren_outbox")[0][0]
    return ended == {"done": COUNT + 2 * len(FINE), "dead": len(BROKEN)} and failures == len(BROKEN) and waiting == 0


def assert_each_once(fleet: Fleet) -> None:
    for step in ("booked", "followed"):
        fleet.assert_once(step, FINE)
    # Killed workers burn no attempts: two for the broken ones, and never a third.
    assert fleet.query("SELECT DISTINCT attempts FROM warren_failures") == [(2,)]
