"""A worker that stands still and goes on, and one whose clock is set back: nothing lost, each effect once."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.brokers.rabbitmq.test_poison import POISON, publish_raw
from tests.faults.load import PLUGIN, at_rest, publish
from tests.support.workers import Fleet

pytestmark = [pytest.mark.faults, pytest.mark.slow]

#: Seconds of a stop: longer than a broker waits for a heartbeat, and than it takes on PostgreSQL to be held for dead.
STOPPED = 30.0

CLOCK = (
    PLUGIN
    + """
import threading, time
from engine.runtime import clock

def set_back() -> None:
    while not Path("set-back").exists():
        time.sleep(0.02)
    clock.now = lambda: time.time() - 20
    print("the clock is set back", flush=True)

threading.Thread(target=set_back, daemon=True).start()
"""
)


BATCHES = """
from sqlalchemy import text
from engine import AsyncSession, Event, EventData, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

@handler(Step, batch=500)
async def book(events: list[Event[Step]], session: AsyncSession) -> None:
    rows = [{"n": event.data.number} for event in events]
    await session.execute(text("INSERT INTO effects VALUES ('booked', :n)"), rows)
"""


@pytest.mark.timeout(400)  # what the dead one had in hand is run one at a time
async def test_a_worker_that_is_stopped_and_goes_on(fleet: Fleet) -> None:
    """Its messages are taken over, if it counts as dead; what it still commits afterwards is refused by the tokens."""
    plugin = fleet.plugin(PLUGIN)
    await fleet.make_effects()
    first, _ = await fleet.start(plugin), await fleet.start(plugin)
    numbers = range(400)
    publishing = asyncio.create_task(publish(fleet, numbers, pause=0.1))
    await fleet.until(lambda: len(fleet.effects("booked")) > 20, "the workers to be in the midst of it")
    first.process.send_signal(signal.SIGSTOP)
    fleet.tally.fault()
    await asyncio.sleep(STOPPED)
    first.process.send_signal(signal.SIGCONT)
    await at_rest(fleet, await publishing, perhaps=numbers, patience=300)


async def test_a_clock_that_is_set_back_makes_some_late_and_none_lost(fleet: Fleet) -> None:
    plugin = fleet.plugin(CLOCK)
    await fleet.make_effects()
    worker = await fleet.start(plugin)
    publishing = asyncio.create_task(publish(fleet, range(200), pause=0.05))
    await fleet.until(lambda: len(fleet.effects("booked")) > 20, "the worker to be in the midst of it")
    (fleet.folder / "set-back").touch()
    await worker.until("the clock is set back")
    fleet.tally.fault()
    await at_rest(fleet, await publishing, patience=100)


async def test_one_poisoned_header_among_ten_thousand_messages(rabbit_fleet: Fleet) -> None:
    """In the midst of a full batch: it alone is dead, and its neighbours are not run again."""
    fleet, count = rabbit_fleet, 10_000
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(BATCHES))
    confirmed = await publish(fleet, range(count // 2), group=1000)
    properties, said = POISON["depth"]
    await publish_raw(fleet.broker, b"test.step", properties, b'{"number": 1}', f"{fleet.app}.events".encode())
    fleet.tally.fault()
    confirmed |= await publish(fleet, range(count // 2, count), group=1000)
    await fleet.until(lambda: len(fleet.effects("booked")) >= count, "all effects")
    await fleet.until(lambda: bool(fleet.query("SELECT 1 FROM warren_failures")), "the failure")
    ((reason, message, attempts),) = fleet.query("SELECT reason, message, attempts FROM warren_failures")
    assert (reason, attempts) == ("unreadable", 1)
    assert said in message
    assert await worker.terminate() == 0
    assert "is lost" not in worker.said()
    assert "is run again one by one" not in worker.said()
    fleet.assert_once("booked", confirmed)
