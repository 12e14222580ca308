"""A redrive sends each message once, whatever happened since, and whoever else redrives it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from engine.brokers.base import Broker
from engine.errors import ReadOnly, UsageError
from engine.model import headers as names
from engine.model.operation import State
from engine.model.outgoing import Kind, Outgoing
from engine.model.record import State as RecordState
from engine.model.verdict import Verdict
from engine.operations import redrive
from engine.operations.operator import Operator
from engine.operations.progress import touching
from engine.operations.redrive import plan
from engine.runtime.intake import body_hash
from engine.runtime.keys import key_hash
from engine.storage import audit, edits, failures, operations, outbox, records
from engine.storage.database import Database
from engine.storage.edits import NewEdit
from engine.storage.failure_search import Filter
from engine.storage.failures import Status
from tests.support.failing import QUEUE, bury, set_record
from tests.support.performing import declare, look, perform, start, subjects

if TYPE_CHECKING:
    from sqlalchemy import Connection

OTHER = "shop.orders.notify"


@pytest.fixture(autouse=True)
async def _queues(broker: Broker) -> None:
    await declare(broker, QUEUE, OTHER)


async def promised(database: Database) -> list[Outgoing]:
    """What waits in the outbox, by event id."""

    def work(connection: Connection) -> list[Outgoing]:
        rows = outbox.adopt(connection, "reader", ["test", "one", "two"], 10_000)
        return sorted(rows, key=lambda row: row.message.message_id or "")

    return await database.write(work)


async def test_a_redriven_message_is_the_original_under_the_next_run(database: Database, broker: Broker) -> None:
    failure = await bury(database, "e-1")
    ordered = await start(database, await plan(database, None, Filter(ids=[failure])), why="the provider is back")
    done = await perform(database, broker, ordered)

    assert (done.state, done.sent, done.pending, done.total) == (State.RUNNING, 1, 1, 1)
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
    assert (record.state, record.run, record.attempts) == (RecordState.WAITING, 3, 0)
    detail = await database.read(lambda connection: failures.get(connection, failure))
    assert detail is not None
    assert (detail.row.status, detail.row.redriven_run) == (Status.REDRIVEN, 3)


async def test_who_ordered_it_and_why_stands_in_the_audit(database: Database, broker: Broker) -> None:
    failure = await bury(database, "e-1")
    ordered = await start(database, await plan(database, None, Filter(ids=[failure])), why="the provider is back")
    await perform(database, broker, ordered)
    await set_record(database, "e-1", state=RecordState.DONE)
    await look(database, broker, ordered)

    ended, begun = await database.read(audit.list_entries)
    assert (begun.who, begun.action, begun.why) == ("anna@web-1", "redrive", "the provider is back")
    assert (begun.what["operation"], begun.what["total"]) == (ordered.id, 1)
    assert begun.what["asked"]["filter"] == {"ids": [failure]}
    assert (ended.action, ended.outcome["state"], ended.outcome["succeeded"]) == ("redrive done", "done", 1)
    [touch] = await touching(database, failure)
    assert (touch.operation.id, touch.item.state, touch.item.run) == (ordered.id, "succeeded", 3)


async def test_a_plan_counts_and_changes_nothing(database: Database, broker: Broker) -> None:
    ready = [await bury(database, f"e-{number}") for number in range(3)]
    other = await bury(database, "e-9", queue=OTHER)
    lost = await bury(database, "e-8", queue="shop.orders.gone")
    done = await bury(database, "done")
    await set_record(database, "done", state=RecordState.DONE, run=3)
    forgotten = await bury(database, "gone", record=False)

    made = await plan(database, broker, Filter(ids=[*ready, other, lost, done, forgotten, 999]))

    assert made.verdicts() == {
        Verdict.READY: 4,
        Verdict.SUCCEEDED: 1,
        Verdict.FORGOTTEN: 1,
        Verdict.NO_QUEUE: 1,
        Verdict.UNKNOWN: 1,
    }
    assert made.queues() == {QUEUE: 4, OTHER: 1}
    assert sorted(made.ids) == sorted([*ready, other, forgotten])
    assert await promised(database) == []
    assert await database.read(audit.list_entries) == []
    assert await database.read(lambda connection: operations.page(connection, None, limit=1)) == []


async def test_two_operators_cannot_double_a_message(database: Database, broker: Broker) -> None:
    ids = [await bury(database, f"e-{number:03}") for number in range(90)]
    first = await start(database, await plan(database, None, Filter(ids=ids)))
    second = await start(database, await plan(database, None, Filter(ids=ids)))

    done = await asyncio.gather(
        perform(database, broker, first, "one"), perform(database, broker, second, "two")
    )  # fmt: skip

    assert sum(each.sent for each in done) == sum(each.skipped for each in done) == 90
    sent = await subjects(database, first, "sent") + await subjects(database, second, "sent")
    assert sorted(sent) == ids
    assert [row.message.message_id for row in await promised(database)] == [f"e-{number:03}" for number in range(90)]


async def test_what_succeeded_between_plan_and_execution_is_left_alone(database: Database, broker: Broker) -> None:
    failure = await bury(database, "e-1")
    made = await plan(database, None, Filter(ids=[failure]))
    await set_record(database, "e-1", state=RecordState.DONE, run=4)

    done = await perform(database, broker, await start(database, made))

    assert (done.state, done.sent, done.skipped) == (State.DONE, 0, 1)
    [touch] = await touching(database, failure)
    assert (touch.item.state, touch.item.verdict) == ("skipped", Verdict.SUCCEEDED)
    assert await promised(database) == []


async def test_a_queue_that_went_after_the_plan_gets_nothing(database: Database, broker: Broker) -> None:
    failure = await bury(database, "e-1")
    made = await plan(database, broker, Filter(ids=[failure]))
    await broker.delete_queue(QUEUE)
    done = await perform(database, broker, await start(database, made))
    assert (done.state, done.sent, done.skipped) == (State.DONE, 0, 1)
    [touch] = await touching(database, failure)
    assert touch.item.verdict == Verdict.NO_QUEUE
    assert await promised(database) == []
    detail = await database.read(lambda connection: failures.get(connection, failure))
    assert detail is not None
    assert detail.row.status is Status.OPEN


async def test_again_runs_what_succeeded_once_more(database: Database, broker: Broker) -> None:
    failure = await bury(database, "e-1")
    await set_record(database, "e-1", state=RecordState.DONE, run=4)
    assert (await plan(database, None, Filter(ids=[failure]))).ids == []

    made = await plan(database, None, Filter(ids=[failure]), again=True)
    await perform(database, broker, await start(database, made))
    await perform(database, broker, await start(database, made._replace(operation="rd-second")))

    [row] = await promised(database)
    assert row.message.headers[names.RUN] == 5


async def test_two_failures_of_one_message_are_sent_as_one(database: Database, broker: Broker) -> None:
    await bury(database, "e-1", run=2)
    newer = await bury(database, "e-1", run=5)
    ordered = await start(database, await plan(database, None, Filter(event_id="e-1")))
    assert (await perform(database, broker, ordered)).sent == 1
    assert await subjects(database, ordered, "sent") == [newer]
    assert len(await promised(database)) == 1


async def test_outcomes_are_verified(database: Database, broker: Broker) -> None:
    ids = [await bury(database, f"e-{number}") for number in range(4)]
    ordered = await start(database, await plan(database, None, Filter(ids=ids)))
    await perform(database, broker, ordered)
    await set_record(database, "e-0", state=RecordState.DONE)
    await bury(database, "e-1", run=4)
    await bury(database, "e-2", run=4, exception="ValueError")

    found = await look(database, broker, ordered)

    assert (found.succeeded, found.failed_again, found.failed_otherwise, found.pending) == (1, 1, 1, 1)
    assert (found.state, found.stage) == (State.RUNNING, "verifying")
    await set_record(database, "e-3", state=RecordState.DONE)
    assert (await look(database, broker, ordered)).state is State.DONE


async def test_a_message_with_an_idempotency_key_keeps_its_own_id(database: Database, broker: Broker) -> None:
    failure = await bury(database, "order-42", own_id="e-1")
    await perform(database, broker, await start(database, await plan(database, None, Filter(ids=[failure]))))
    [row] = await promised(database)
    assert row.message.message_id == "e-1"
    assert row.message.headers[names.KEY] == "order-42"


async def test_an_edited_body_is_sent_in_place_of_the_original(database: Database, broker: Broker) -> None:
    failure, keyed = await bury(database, "e-1"), await bury(database, "order-42", own_id="e-2")
    new = b'{"order_id": "43"}'
    for each in (failure, keyed):
        edit = NewEdit(each, b'{"order_id": "42"}', new, "[]")
        await database.write(lambda connection, edit=edit: edits.add(connection, edit, who="anna", why="", now=1.0))  # type: ignore[misc]
    ordered = await start(database, await plan(database, None, Filter(ids=[failure, keyed])))
    assert (await perform(database, broker, ordered)).sent == 2

    rows = await promised(database)
    assert [(row.message.message_id, row.message.body) for row in rows] == [("e-1", new), ("e-2", new)]
    keys = [(QUEUE, "e-1"), (QUEUE, "order-42")]
    known = await database.read(lambda connection: records.fetch(connection, keys))
    assert [known[key].body_hash for key in keys] == [body_hash(new), key_hash("order-42")]
    [edited] = await database.read(lambda connection: edits.history(connection, failure))
    assert (edited.state, edited.operation) == ("sent", ordered.id)
    assert await database.read(lambda connection: edits.pending(connection, [failure, keyed])) == {}
    assert (await plan(database, None, Filter(ids=[failure]))).verdicts() == {Verdict.SUPERSEDED: 1}


async def test_who_may_only_look_starts_nothing(database: Database) -> None:
    made = await plan(database, None, Filter(ids=[await bury(database, "e-1")]))
    reader = Operator("guest", read_only=True)
    with pytest.raises(ReadOnly, match="read-only"):
        await redrive.start(database, made, app="shop", operator=reader, why="")
    assert await database.read(lambda connection: operations.page(connection, None, limit=1)) == []


async def test_a_plan_is_started_once_and_not_without_messages(database: Database) -> None:
    made = await plan(database, None, Filter(ids=[await bury(database, "e-1")]))
    await start(database, made)
    with pytest.raises(UsageError, match="was ordered before"):
        await start(database, made)
    with pytest.raises(UsageError, match="nothing to send"):
        await start(database, await plan(database, None, Filter(ids=[999])))
