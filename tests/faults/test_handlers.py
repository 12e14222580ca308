"""Handlers that hang, block or kill: what they do to themselves, and to nobody else."""

from __future__ import annotations

import asyncio

import pytest

from engine.runtime.application import Engine
from tests.runtime.events import Step
from tests.support.workers import Fleet

pytestmark = [pytest.mark.faults, pytest.mark.slow]

HEAD = """
import asyncio, os, time
from sqlalchemy import text
from engine import AsyncSession, Context, Event, EventData, RetryPolicy, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

async def book(session, number):
    await session.execute(text("INSERT INTO effects VALUES ('booked', :n)"), {"n": number})

"""

HANGS = (
    HEAD
    + """
@handler(Step, timeout=3, retry=RetryPolicy(max_attempts=2, initial=0.25, jitter=False))
async def work(event: Event[Step], session: AsyncSession) -> None:
    if event.data.number == 13:
        await session.execute(text("INSERT INTO effects VALUES ('booked', 13)"))
        await asyncio.Event().wait()
    await book(session, event.data.number)
"""
)

BLOCKS = (
    HEAD
    + """
@handler(Step)
async def work(event: Event[Step], session: AsyncSession) -> None:
    if event.data.number == 13:
        time.sleep(20)
    await book(session, event.data.number)
"""
)

KILLS = (
    HEAD
    + """
@handler(Step)
async def work(event: Event[Step], session: AsyncSession) -> None:
    if event.data.number == 13:
        await asyncio.sleep(0.1)  # its neighbours are in the midst of it
        os._exit(7)
    await asyncio.sleep(0.02)
    await book(session, event.data.number)
"""
)


async def test_a_handler_that_hangs_is_ended_and_given_up(fleet: Fleet) -> None:
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(HANGS))
    await send(fleet, 100)
    fleet.tally.fault()
    await fleet.until(lambda: len(failures(fleet)) == 1, "the failure of the one that hangs")
    await fleet.until(lambda: len(fleet.effects("booked")) >= 99, "the effects of the others")
    assert await worker.terminate() == 0, worker.said()
    assert failures(fleet) == [("attempts exhausted", "HandlerTimeout", 2)]
    # On SQLite they stood in line behind its transaction all the while, and that is no time of theirs.
    assert fleet.query("SELECT max(attempts) FROM warren_records WHERE state = 'done'") == [(1,)]
    fleet.assert_once("booked", set(range(100)) - {13})


async def test_a_handler_that_blocks_the_event_loop_ends_with_its_message_handled_once(fleet: Fleet) -> None:
    """The loop stands still for 20 s, past two heartbeats of the broker: the message comes again, and is known."""
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(BLOCKS))
    await send(fleet, 100)
    fleet.tally.fault()
    await fleet.until(lambda: len(fleet.effects("booked")) >= 100, "all effects")
    assert await worker.terminate() == 0, worker.said()
    fleet.assert_once("booked", range(100))
    assert fleet.query("SELECT DISTINCT state FROM warren_records") == [("done",)]


async def test_a_killer_is_found_out_and_its_neighbours_are_fine(fleet: Fleet) -> None:
    count = 201
    await fleet.make_effects()
    plugin = fleet.plugin(KILLS)
    await fleet.start(plugin)
    await send(fleet, count)
    deaths = 0
    async with asyncio.timeout(110):
        while not failures(fleet):
            worker = fleet.workers[-1]
            if (code := worker.process.poll()) is not None:
                assert code == 7, worker.said()
                deaths += 1
                await fleet.start(plugin, ready=False)
            await asyncio.sleep(0.05)
    # The first death had many suspects; three more, with this message alone under suspicion, are proof.
    assert deaths == 4
    fleet.tally.fault(deaths)
    await fleet.until(lambda: len(fleet.effects("booked")) >= count - 1, "the effects of the others")
    assert await fleet.workers[-1].terminate() == 0, fleet.workers[-1].said()
    assert failures(fleet) == [("killed its workers", "", 1)]
    fleet.assert_once("booked", set(range(count)) - {13})


async def send(fleet: Fleet, count: int) -> None:
    async with Engine(fleet.settings()) as engine:
        await engine.publish_many([Step(number=number) for number in range(count)])


def failures(fleet: Fleet) -> list[tuple[str, str, int]]:
    return fleet.query("SELECT reason, exception, attempts FROM warren_failures")
