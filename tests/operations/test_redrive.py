"""A redrive sends each message once, whatever happened since, and whoever else redrives it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.model import headers as names
from engine.model.outgoing import Kind, Outgoing
from engine.model.record import State
from engine.operations.redrive import execute, plan, verify
from engine.operations.verdict import Verdict
from engine.storage import audit, failures, outbox, records
from engine.storage.database import Database
from engine.storage.failure_search import Filter
from engine.storage.failures import Outcome, Status
from tests.support.failing import QUEUE, bury, set_record

if TYPE_CHECKING:
    from sqlalchemy import Connection

OTHER = "shop.orders.notify"


async def promised(database: Database) -> list[Outgoing]:
    """What waits in the outbox, by event id."""

    def work(connection: Connection) -> list[Outgoing]:
        rows = outbox.adopt(connection, "test", [], 10_000)
        return sorted(rows, key=lambda row: row.message.message_id or "")

    return await database.write(work)


async def test_a_redriven_message_is_the_original_under_the_next_run(database: Database) -> None:
    failure = await bury(database, "e-1")
    made = await plan(database, None, Filter(ids=[failure]))
    done = await execute(database, made, who="anna@web-1", why="the provider is back")

    assert done.sent == [failure]
    [row] = await promised(database)
    assert (row.kind, row.exchange, row.routing_key, row.mandatory, row.due) == (Kind.REDRIVE, "", QUEUE, True, None)
    assert row.message.body == b'{"order_id": "42"}'
    assert (row.message.message_id, row.message.type, row.message.content_type) == (
        "e-1",
        "order.placed",
        "application/json",
    )
    assert row.message.headers == {
        "tenant": "t-1",
        "traceparent": "00-1-2-01",
        names.RUN: 3,
        names.EXCHANGE: "events",
        names.ROUTING_KEY: "order.placed",
    }
    record = (await database.read(lambda connection: records.fetch(connection, [(QUEUE, "e-1")])))[QUEUE, "e-1"]
    assert (record.state, record.run, record.attempts) == (State.WAITING, 3, 0)
    detail = await database.read(lambda connection: failures.get(connection, failure))
    assert detail is not None
    assert (detail.row.status, detail.row.redriven_run) == (Status.REDRIVEN, 3)
    [entry] = await database.read(audit.list_entries)
    assert (entry.who, entry.action, entry.why) == ("anna@web-1", "redrive", "the provider is back")
    assert entry.what == {"operation": made.operation, "failures": [failure], "again": False}
    assert entry.outcome == {"ready": 1}


async def test_a_plan_counts_and_changes_nothing(database: Database) -> None:
    ready = [await bury(database, f"e-{number}") for number in range(3)]
    other = await bury(database, "e-9", queue=OTHER)
    done = await bury(database, "done")
    await set_record(database, "done", state=State.DONE, run=3)
    forgotten = await bury(database, "gone", record=False)

    made = await plan(database, None, Filter(ids=[*ready, other, done, forgotten, 999]))

    assert made.verdicts() == {Verdict.READY: 4, Verdict.SUCCEEDED: 1, Verdict.FORGOTTEN: 1, Verdict.UNKNOWN: 1}
    assert made.queues() == {QUEUE: 4, OTHER: 1}
    assert sorted(made.ids) == sorted([*ready, other, forgotten])
    assert await promised(database) == []
    assert await database.read(audit.list_entries) == []


async def test_two_operators_cannot_double_a_message(database: Database) -> None:
    ids = [await bury(database, f"e-{number:03}") for number in range(250)]
    first = await plan(database, None, Filter(ids=ids))
    second = await plan(database, None, Filter(ids=ids))

    results = await asyncio.gather(
        execute(database, first, who="anna", why=""), execute(database, second, who="bert", why="")
    )

    assert sorted(results[0].sent + results[1].sent) == ids
    assert sum(result.verdicts[Verdict.SUPERSEDED] for result in results) == 250
    assert [row.message.message_id for row in await promised(database)] == [f"e-{number:03}" for number in range(250)]


async def test_what_succeeded_between_plan_and_execution_is_left_alone(database: Database) -> None:
    failure = await bury(database, "e-1")
    made = await plan(database, None, Filter(ids=[failure]))
    await set_record(database, "e-1", state=State.DONE, run=4)

    done = await execute(database, made, who="anna", why="")

    assert (done.sent, done.verdicts) == ([], {Verdict.SUCCEEDED: 1})
    assert await promised(database) == []


async def test_again_runs_what_succeeded_once_more(database: Database) -> None:
    failure = await bury(database, "e-1")
    await set_record(database, "e-1", state=State.DONE, run=4)
    assert (await plan(database, None, Filter(ids=[failure]))).ids == []

    made = await plan(database, None, Filter(ids=[failure]), again=True)
    await execute(database, made, who="anna", why="")
    await execute(database, made, who="anna", why="")

    [row] = await promised(database)
    assert row.message.headers[names.RUN] == 5


async def test_two_failures_of_one_message_are_sent_as_one(database: Database) -> None:
    await bury(database, "e-1", run=2)
    newer = await bury(database, "e-1", run=5)
    done = await execute(database, await plan(database, None, Filter(event_id="e-1")), who="anna", why="")
    assert done.sent == [newer]
    assert len(await promised(database)) == 1


async def test_outcomes_are_verified(database: Database) -> None:
    ids = [await bury(database, f"e-{number}") for number in range(4)]
    await execute(database, await plan(database, None, Filter(ids=ids)), who="anna", why="")
    await set_record(database, "e-0", state=State.DONE)
    await bury(database, "e-1", run=4)
    await bury(database, "e-2", run=4, exception="ValueError")

    found = await verify(database, ids, seconds=0)

    assert found == {
        Outcome.SUCCEEDED: 1,
        Outcome.FAILED_AGAIN: 1,
        Outcome.FAILED_OTHERWISE: 1,
        Outcome.PENDING: 1,
    }


async def test_waiting_for_an_outcome_ends_when_it_is_there(database: Database) -> None:
    failure = await bury(database, "e-1")
    await execute(database, await plan(database, None, Filter(ids=[failure])), who="anna", why="")
    waiting = asyncio.create_task(verify(database, [failure], seconds=60))
    await set_record(database, "e-1", state=State.DONE)
    async with asyncio.timeout(10):
        assert await waiting == {Outcome.SUCCEEDED: 1}


async def test_a_message_with_an_idempotency_key_keeps_its_own_id(database: Database) -> None:
    failure = await bury(database, "order-42", own_id="e-1")
    await execute(database, await plan(database, None, Filter(ids=[failure])), who="anna", why="")
    [row] = await promised(database)
    assert row.message.message_id == "e-1"
    assert row.message.headers[names.KEY] == "order-42"
