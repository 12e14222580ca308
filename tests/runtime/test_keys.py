"""Serial keys and idempotency keys in real workers, through failures and redrive."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, datetime

from engine.model.codec import to_message
from engine.model.event import EventData, new_event
from engine.model.message import Publication
from engine.model.topology import dlq_name
from engine.operations import redrive
from engine.operations.operator import Operator
from engine.operations.progress import follow
from engine.runtime.application import Engine
from engine.storage.database import Database
from engine.storage.failure_search import Filter
from tests.runtime.events import Step
from tests.support.workers import Fleet

SERIAL = """
import asyncio
from engine import Event, EventData, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

running = set()

@handler(Step, key=lambda event: event.data.number % 8, concurrency=16)
async def take(event: Event[Step]) -> None:
    key = event.data.number % 8
    with open("taken", "a") as log:
        print(key, event.data.number, key in running, len(running), file=log)
    running.add(key)
    await asyncio.sleep(0.001 * (event.data.number % 5))
    running.discard(key)
"""


async def test_equal_keys_are_handled_one_at_a_time_in_their_order(fleet: Fleet) -> None:
    count = 400
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(SERIAL))
    async with Engine(fleet.settings()) as engine:
        await engine.publish_many([Step(number=number) for number in range(count)])
    await fleet.until(lambda: states(fleet) == {"done": count}, "all to be handled")
    assert await worker.terminate() == 0
    order: dict[str, list[int]] = defaultdict(list)
    most = 0
    for line in (fleet.folder / "taken").read_text().splitlines():
        key, number, overlapped, others = line.split()
        assert overlapped == "False"
        order[key].append(int(number))
        most = max(most, int(others))
    assert len(order) == 8
    assert all(numbers == sorted(numbers) for numbers in order.values())
    assert most > 1


class Paid(EventData, type="test.paid"):
    order: str | None
    note: str = ""


PAID = """
from pathlib import Path
from sqlalchemy import text
from engine import AsyncSession, Context, Event, EventData, RetryPolicy, handler

class Paid(EventData, type="test.paid"):
    order: str | None
    note: str = ""

@handler(Paid, idempotency_key="order", retry=RetryPolicy(max_attempts=2, initial=0.25, jitter=False))
async def book(event: Event[Paid], ctx: Context, session: AsyncSession) -> None:
    await session.execute(text("INSERT INTO effects VALUES (:step, :n)"), {"step": event.id, "n": ctx.attempt})
    if event.data.order == "bad" and not Path("fixed").exists():
        raise RuntimeError("not yet")
"""


async def test_an_idempotency_key_tells_duplicates_also_after_a_redrive(fleet: Fleet) -> None:
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(PAID))
    async with Engine(fleet.settings()) as engine:
        good = [await engine.publish(Paid(order="good", note=note)) for note in ("first", "second")]
        bad = [await engine.publish(Paid(order="bad", note=note)) for note in ("first", "second")]
        keyless = await engine.publish(Paid(order=None))
        await fleet.until(lambda: failures(fleet) == [("bad", 2), (keyless.id, 1)], "the failures")
        await fleet.until(lambda: states(fleet) == {"done": 1, "dead": 2}, "all to be settled")
        # The second event under each key was skipped: no other body is a conflict here.
        assert [key for (key,) in fleet.query("SELECT event_id FROM warren_records ORDER BY event_id")] == sorted(
            ["good", "bad", keyless.id]
        )
        assert fleet.query("SELECT step FROM effects") == [(good[0].id,)]
        assert fleet.query("SELECT reason FROM warren_failures WHERE attempts = 1") == [("unreadable",)]

        (fleet.folder / "fixed").touch()
        database = await Database.open(fleet.database)
        made = await redrive.plan(database, engine.broker, Filter(event_id="bad"))
        ordered = await redrive.start(database, made, app=fleet.app, operator=Operator("test"), why="fixed")
        async with asyncio.timeout(30):
            [*_, ended] = [stands async for stands in follow(database, ordered.id, until_verified=True)]
        assert (ended.state, ended.succeeded) == ("done", 1), worker.said()
        await database.close()
        # It ran under its own event id, and under the key's record.
        assert sorted(fleet.query("SELECT step, number FROM effects")) == sorted([(good[0].id, 1), (bad[0].id, 1)])
        await engine.publish(Paid(order="bad", note="third"))
        await fleet.until(lambda: duplicates(fleet) == 3, "the third to be skipped")

        # What the broker dead-letters goes by its key, too.
        lost = to_message(new_event(Paid(order="lost"), id="lost-1", now=datetime.now(UTC)))
        queue = f"{fleet.app}.plugin.book"
        assert await engine.broker.publish([Publication("", dlq_name(queue), lost)]) == [None]
        await fleet.until(lambda: ("lost", 0) in failures(fleet), "the lost one to be known")
        await engine.publish(Paid(order="lost", note="second"))
        await fleet.until(lambda: duplicates(fleet) == 4, "its second to be skipped")
    assert await worker.terminate() == 0
    assert fleet.query("SELECT count(*) FROM effects") == [(2,)]
    assert states(fleet) == {"done": 2, "dead": 2}


SLOW = """
import asyncio
from pathlib import Path
from sqlalchemy import text
from engine import AsyncSession, Event, EventData, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

@handler(Step)
async def book(event: Event[Step], session: AsyncSession) -> None:
    Path("begun").touch()
    while not Path("go").exists():
        await asyncio.sleep(0.01)
    await session.execute(text("INSERT INTO effects VALUES ('booked', :n)"), {"n": event.data.number})
"""


async def test_what_a_worker_wrote_for_a_message_that_was_taken_over_is_undone(fleet: Fleet) -> None:
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(SLOW))
    async with Engine(fleet.settings()) as engine:
        await engine.publish(Step(number=1))
    await fleet.until(lambda: (fleet.folder / "begun").exists(), "the handler to begin")
    database = await Database.open(fleet.database)
    stolen = "UPDATE warren_records SET token = token + 1, worker = 'another:1:abcdef'"
    await database.write(lambda connection: connection.exec_driver_sql(stolen))
    await database.close()
    (fleet.folder / "go").touch()
    await worker.until("was taken over by another worker")
    assert fleet.query("SELECT * FROM effects") == []


def states(fleet: Fleet) -> dict[str, int]:
    return dict(fleet.query("SELECT state, count(*) FROM warren_records GROUP BY state"))


def failures(fleet: Fleet) -> list[tuple[str, int]]:
    return sorted(fleet.query("SELECT event_id, attempts FROM warren_failures"), key=lambda row: -row[1])


def duplicates(fleet: Fleet) -> int:
    found: int = fleet.query("SELECT coalesce(sum(duplicates + stale), 0) FROM warren_stats")[0][0]
    return found
