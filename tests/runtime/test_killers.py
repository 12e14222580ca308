"""A message that kills its worker: dead-lettered after three proven deaths, its neighbours untouched."""

from __future__ import annotations

import pytest

from engine.model.record import MAX_DEATHS
from engine.runtime.application import Engine
from tests.runtime.events import Step
from tests.support.homes import each_home
from tests.support.workers import Fleet

KILLER = 77
#: How many others there are, and how many processes.
FEW, MANY = (200, 2), (1000, 1)

PLUGIN = f"""
import os
from sqlalchemy import text
from engine import AsyncSession, Event, EventData, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

@handler(Step)
async def book(event: Event[Step], session: AsyncSession) -> None:
    await session.execute(text("INSERT INTO effects VALUES ('booked', :n)"), {{"n": event.data.number}})
    if event.data.number == {KILLER}:
        os._exit(9)

@handler(Step)
async def note(event: Event[Step]) -> None:
    pass
"""


@pytest.mark.faults
@pytest.mark.timeout(400)  # on PostgreSQL each of the four deaths takes 15 s to be proven
@pytest.mark.parametrize(
    ("fleet", "size"),
    each_home([FEW, MANY], lambda home, size: size == FEW and home == "embedded-sqlite"),
    indirect=["fleet"],
    ids=lambda value: value if isinstance(value, str) else f"{value[0]}-beside-it",
)
async def test_a_killer_is_dead_lettered_and_its_neighbours_are_handled_once(
    fleet: Fleet, size: tuple[int, int]
) -> None:
    await fleet.make_effects()
    innocent, processes = size
    numbers = list(range(innocent + 1))
    supervisor = await fleet.start(fleet.plugin(PLUGIN), "--processes", str(processes))
    async with Engine(fleet.settings()) as engine:
        await engine.publish_many([Step(number=number) for number in numbers])
    await fleet.until(lambda: states(fleet) == {"done": 2 * innocent + 1, "dead": 1}, "the end of all messages", 240)
    await fleet.until(lambda: bool(fleet.query("SELECT 1 FROM warren_failures")), "the failure in the table")
    assert await supervisor.terminate() == 0, supervisor.said()

    fleet.tally.fault(MAX_DEATHS + 1)
    fleet.assert_once("booked", set(numbers) - {KILLER})
    reason, message = fleet.query("SELECT reason, message FROM warren_failures")[0]
    assert reason == "killed its workers"
    assert str(MAX_DEATHS) in message
    assert fleet.query("SELECT deaths FROM warren_records WHERE state = 'dead'") == [(MAX_DEATHS,)]
    # Nobody else was ever held for guilty, and none of them used up an attempt.
    assert fleet.query("SELECT max(deaths), max(attempts) FROM warren_records WHERE state = 'done'") == [(0, 1)]
    # Once with all of them in hand, then alone.
    assert supervisor.said().count("ended with exit code 9") == MAX_DEATHS + 1


def states(fleet: Fleet) -> dict[str, int]:
    return dict(fleet.query("SELECT state, count(*) FROM warren_records GROUP BY state"))
