"""kill -9 of the worker that replays a stream: another goes on behind what was sent, and each event has its effect once."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from engine.brokers import open_broker
from engine.model.codec import Limits
from engine.model.message import Message, Publication
from engine.model.operation import Options
from engine.model.topology import journal_topology, stream_name
from engine.operations import stream_replay
from engine.operations.events import EventFilter
from engine.operations.masking import masking_for
from engine.operations.operator import Operator
from engine.operations.replay import Target
from engine.operations.stream_events import Source, bounds
from engine.operations.topology import wanted
from engine.runtime.plugins import load_all
from engine.storage.database import Database
from tests.support.workers import Fleet

pytestmark = pytest.mark.faults

COUNT = 2000
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


async def order(fleet: Fleet, plugin: str) -> None:
    """Fill the stream, with what is no event and what is there twice among it, and order that all is replayed."""
    settings = fleet.settings(journal=["order.#"], journal_to="stream")
    broker = open_broker(fleet.broker, app=fleet.app)
    database = await Database.open(fleet.database, migrate=True)
    await broker.connect()
    try:
        # Before the handler has a queue: so these are in the stream alone.
        await broker.declare(journal_topology(fleet.app, settings.exchange, settings.journal, settings.stream))
        sent = [
            Publication(
                settings.exchange, "order.placed", Message(b'{"order_id": %d}' % number, message_id=f"e-{number}")
            )
            for number in range(COUNT)
        ]
        sent[100:100] = [Publication(settings.exchange, "order.placed", Message(b"{", message_id="broken"))] * 3
        sent[1500:1500] = sent[200:240]
        assert set(await broker.publish(sent)) == {None}
        specs = load_all([plugin], fleet.folder, app=fleet.app).handlers
        await broker.declare(wanted(fleet.app, specs, settings.exchange, settings.journal, settings.stream))
        source = Source(broker, stream_name(fleet.app), Limits(), masking_for(settings))
        meant = EventFilter(types=["order.*"])
        target = Target(f"{fleet.app}.plugin.book", "book", ("order.placed",))
        span = await bounds(source, meant)
        plan = await stream_replay.plan(database, source, meant, target, span=span)
        assert (plan.to_send, plan.unreadable) == (COUNT + 40, 3)
        operator, options = Operator("test"), Options(canary=10)
        await stream_replay.start(database, plan, app=fleet.app, operator=operator, why="", options=options)
    finally:
        await broker.close()
        await database.close()


def over(fleet: Fleet) -> bool:
    return fleet.query("SELECT state FROM warren_operations") == [("done",)]


@pytest.mark.parametrize(
    "point",
    [
        "operated:3",
        *(pytest.param(point, marks=pytest.mark.slow) for point in ("operated:1", "relayed:3", "claimed:4")),
    ],
)
async def test_a_worker_killed_while_it_replays_a_stream(fleet: Fleet, point: str) -> None:
    plugin = fleet.plugin(PLUGIN)
    journal: Any = {"WARREN_JOURNAL": "order.#", "WARREN_JOURNAL_TO": "stream"}
    await fleet.make_effects()
    await order(fleet, str(plugin))
    doomed = await fleet.start(plugin, ready=False, WARREN_CRASH_AT=point, **journal)
    assert await doomed.ended() == -signal.SIGKILL, doomed.said()
    fleet.tally.fault()
    assert not over(fleet)
    heir = await fleet.start(plugin, **journal)
    await fleet.until(lambda: over(fleet), f"the end of the operation after a kill at {point}")
    assert await heir.terminate() == 0, heir.said()
    fleet.assert_once("booked", range(COUNT))
    counted = fleet.query("SELECT sent, succeeded, failed_again + failed_otherwise, skipped FROM warren_operations")
    assert counted == [(COUNT, COUNT, 0, 40)]
    assert fleet.query("SELECT count(*) FROM warren_operation_items") == [(0,)]
    assert fleet.query("SELECT count(*) FROM warren_outbox") == [(0,)]
