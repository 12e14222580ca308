"""kill -9 of the worker that performs a redrive: another goes on, and each message has its effect once."""

from __future__ import annotations

import signal

import pytest

from engine.model.operation import Options
from engine.operations import redrive
from engine.operations.operator import Operator
from engine.storage.database import Database
from engine.storage.failure_search import Filter
from tests.support.failing import bury_many
from tests.support.workers import Fleet

pytestmark = pytest.mark.faults

PLUGIN = """
from sqlalchemy import text
from engine import AsyncSession, Event, EventData, RetryPolicy, handler

class Placed(EventData, type="order.placed"):
    order_id: int

@handler(Placed, retry=RetryPolicy(max_attempts=1))
async def book(events: list[Event[Placed]], session: AsyncSession) -> None:
    rows = [{"n": event.data.order_id} for event in events]
    await session.execute(text("INSERT INTO effects VALUES ('booked', :n)"), rows)
"""


async def order(fleet: Fleet, count: int) -> None:
    """Bury so many messages and order that all are redriven, by whichever worker starts."""
    database = await Database.open(fleet.database)
    try:
        queue = f"{fleet.app}.plugin.book"
        await bury_many(database, count, queue=queue, body=lambda number: b'{"order_id": %d}' % number)
        plan = await redrive.plan(database, None, Filter(queue=queue))
        await redrive.start(
            database, plan, app=fleet.app, operator=Operator("test"), why="", options=Options(canary=10)
        )
    finally:
        await database.close()


def sent(fleet: Fleet) -> int:
    [(count,)] = fleet.query("SELECT sent FROM warren_operations")
    return int(count)


def over(fleet: Fleet) -> bool:
    return fleet.query("SELECT state FROM warren_operations") == [("done",)]


def assert_all_went_well(fleet: Fleet, count: int) -> None:
    fleet.assert_once("booked", range(count))
    counted = fleet.query("SELECT sent, succeeded, failed_again + failed_otherwise, skipped FROM warren_operations")
    assert counted == [(count, count, 0, 0)]
    assert fleet.query("SELECT state, count(*) FROM warren_operation_items GROUP BY state") == [("succeeded", count)]
    assert fleet.query("SELECT count(*) FROM warren_outbox") == [(0,)]


@pytest.mark.parametrize(
    "point",
    [
        "operated:3",
        *(pytest.param(point, marks=pytest.mark.slow) for point in ("operated:1", "relayed:3", "claimed:4")),
    ],
)
async def test_a_worker_killed_while_it_performs_a_redrive(fleet: Fleet, point: str) -> None:
    count, plugin = 2000, fleet.plugin(PLUGIN)
    await fleet.make_effects()
    await order(fleet, count)
    doomed = await fleet.start(plugin, ready=False, WARREN_CRASH_AT=point)
    assert await doomed.ended() == -signal.SIGKILL, doomed.said()
    fleet.tally.fault()
    assert not over(fleet)
    heir = await fleet.start(plugin)
    await fleet.until(lambda: over(fleet), f"the end of the operation after a kill at {point}")
    assert await heir.terminate() == 0, heir.said()
    assert_all_went_well(fleet, count)
