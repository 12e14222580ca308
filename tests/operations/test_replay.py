"""A replay runs one handler once more on recorded events, and nobody else."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from engine.brokers.base import Broker
from engine.errors import ReadOnly, UsageError
from engine.model import headers as names
from engine.model.message import Message
from engine.model.operation import ItemState
from engine.model.outgoing import Kind, Outgoing
from engine.model.record import Record, State
from engine.operations import replay
from engine.operations.events import EventFilter
from engine.operations.operator import Operator
from engine.operations.progress import items
from engine.operations.replay import Plan, Target, Verdict, find_target, plan
from engine.runtime.intake import body_hash
from engine.storage import audit, delayed, event_log, outbox, records, workers
from engine.storage.database import Database
from engine.storage.event_log import Entry, Origin
from engine.storage.workers import JOURNAL, DeclaredQueue
from tests.support.performing import ANNA, declare, perform

if TYPE_CHECKING:
    from sqlalchemy import Connection

QUEUE = "shop.orders.charge"
TARGET = Target(QUEUE, "charge", ("order.*",))
BODY = b'{"order_id": "42"}'


@pytest.fixture(autouse=True)
async def _queues(broker: Broker) -> None:
    await declare(broker, QUEUE)


async def log(database: Database, *event_ids: str, kind: str = "order.placed", **changes: Any) -> None:
    """Write events into the log, as a handler emitted them."""

    def entry(event_id: str) -> Entry:
        message = Message(
            BODY, {"tenant": "t-1", "warren-run": 9}, message_id=event_id, correlation_id="v-7", type=kind
        )
        made = Entry(
            *(event_id, kind, "order", "42", None, Origin.EMITTED, "shop.orders.place", "shop"),
            *("v-7", None, "events", kind, 1000.0, None, message),
        )
        return made._replace(**changes)

    made = [entry(event_id) for event_id in event_ids]
    await database.write(lambda connection: event_log.append(connection, made, now=time.time()))


async def put(database: Database, event_id: str, state: State, body: bytes = BODY, run: int = 2) -> None:
    """Write the record of an event in the handler's queue."""
    made = Record(QUEUE, event_id, state, run, 1, 4, "w-1", body_hash(body), 0, False, 1.0, 2.0)
    await database.write(lambda connection: records.put(connection, [made]))


async def stands(database: Database, event_id: str) -> Record:
    return (await database.read(lambda connection: records.fetch(connection, [(QUEUE, event_id)])))[QUEUE, event_id]


async def promised(database: Database) -> list[Outgoing]:
    """What waits in the outbox, by event id."""

    def work(connection: Connection) -> list[Outgoing]:
        rows = outbox.adopt(connection, "reader", ["test", "one", "two"], 10_000)
        return sorted(rows, key=lambda row: row.message.message_id or "")

    return await database.write(work)


async def start(database: Database, made: Plan, operator: Operator = ANNA) -> Any:
    return await replay.start(database, made, app="shop", operator=operator, why="a new read model")


async def test_a_plan_counts_and_changes_nothing(database: Database, broker: Broker) -> None:
    await log(database, "new", "done", "dead", "waiting", "running", "conflict")
    await log(database, "other", kind="payment.taken")
    await log(database, "later", "cancelled", due=time.time() + 60)
    await log(database, "sent", due=time.time() - 60)
    await database.write(lambda connection: delayed.add(connection, {"cancelled": time.time() - 1}, 1.0))
    await put(database, "done", State.DONE)
    await put(database, "dead", State.DEAD)
    await put(database, "waiting", State.WAITING)
    await put(database, "running", State.RUNNING)
    await put(database, "conflict", State.DONE, body=b"another")

    made = await plan(database, broker, EventFilter(), TARGET)

    assert made.verdicts() == {
        Verdict.NEW: 2,
        Verdict.HANDLED: 1,
        Verdict.FAILED: 1,
        Verdict.WAITING: 1,
        Verdict.RUNNING: 1,
        Verdict.CONFLICT: 1,
        Verdict.UNWANTED: 1,
    }
    assert made.positions == [1, 2, 3, 10]
    assert made.types() == {"order.placed": 4}
    assert await promised(database) == []
    assert await database.read(audit.list_entries) == []
    gone = await plan(database, broker, EventFilter(), Target("shop.gone", "gone", ()))
    assert gone.positions == []
    assert gone.verdicts()[Verdict.NO_QUEUE] == 8


async def test_a_replay_runs_again_what_was_handled_and_goes_to_one_queue(database: Database, broker: Broker) -> None:
    await log(database, "done", "new")
    await put(database, "done", State.DONE, run=2)
    ordered = await start(database, await plan(database, broker, EventFilter(types=["order.*"]), TARGET))
    done = await perform(database, broker, ordered)

    assert (done.kind, done.target, done.sent, done.total) == ("replay", QUEUE, 2, 2)
    first, second = await promised(database)
    assert (first.kind, first.exchange, first.routing_key, first.mandatory) == (Kind.REPLAY, "", QUEUE, True)
    assert (first.message.body, first.message.message_id, first.message.correlation_id) == (BODY, "done", "v-7")
    assert first.message.headers == {
        "tenant": "t-1",
        names.RUN: 3,
        names.EXCHANGE: "events",
        names.ROUTING_KEY: "order.placed",
    }
    assert second.message.headers[names.RUN] == 2
    for event_id, run in (("done", 3), ("new", 2)):
        record = await stands(database, event_id)
        assert (record.state, record.run, record.attempts) == (State.WAITING, run, 0)
    found = await items(database, ordered.id)
    assert [(item.state, item.verdict, item.run) for item in found] == [
        (ItemState.SENT, "handled", 3),
        (ItemState.SENT, "new", 2),
    ]
    [entry] = await database.read(audit.list_entries)
    assert (entry.who, entry.action, entry.why) == ("anna@web-1", "replay", "a new read model")
    assert entry.what["asked"]["filter"] == {"types": ["order.*"]}


async def test_two_operators_who_replay_the_same_events_run_them_once(database: Database, broker: Broker) -> None:
    await log(database, *(f"e-{number:03}" for number in range(60)))
    await put(database, "e-001", State.DONE)
    plans = [await plan(database, broker, EventFilter(), TARGET) for _ in range(2)]
    ordered = [await start(database, made) for made in plans]
    both = await asyncio.gather(
        *(perform(database, broker, each, name) for each, name in zip(ordered, ("one", "two"), strict=True))
    )
    assert sum(each.sent for each in both) == 60
    assert len(await promised(database)) == 60


async def test_what_changed_since_the_plan_is_left_alone(database: Database, broker: Broker) -> None:
    await log(database, "e-1", "e-2", "e-3")
    made = await plan(database, broker, EventFilter(), TARGET)
    ordered = await start(database, made)
    await put(database, "e-1", State.RUNNING)
    await database.write(lambda connection: event_log.forget(connection, [2]))
    done = await perform(database, broker, ordered)
    assert (done.sent, done.skipped) == (1, 2)
    assert [item.verdict for item in await items(database, ordered.id)] == ["running", "gone", "new"]
    assert (await stands(database, "e-1")).state is State.RUNNING


async def test_what_must_not_be_is_refused(database: Database, broker: Broker) -> None:
    await log(database, "e-1")
    made = await plan(database, broker, EventFilter(), TARGET)
    with pytest.raises(ReadOnly):
        await start(database, made, Operator("bert", read_only=True))
    await start(database, made)
    with pytest.raises(UsageError, match="before"):
        await start(database, made)
    with pytest.raises(UsageError, match="nothing to send"):
        await start(database, await plan(database, broker, EventFilter(types=["no.such"]), TARGET))


async def test_a_handler_is_found_by_name_or_queue(database: Database) -> None:
    declared = [
        DeclaredQueue("shop.orders.charge", "shop", "charge", ("order.*",), 1.0, 1.0),
        DeclaredQueue("shop.cards.charge", "shop", "charge", ("card.*",), 1.0, 1.0),
        DeclaredQueue("shop.orders.notify", "shop", "notify", ("order.*",), 1.0, 1.0),
        DeclaredQueue("shop.journal", "shop", JOURNAL, ("#",), 1.0, 1.0),
        DeclaredQueue("other.orders.notify", "other", "notify", ("order.*",), 1.0, 1.0),
    ]
    with pytest.raises(UsageError, match="no handler notify"):
        await find_target(database, "shop", "notify")
    await database.write(lambda connection: workers.declare_queues(connection, declared))
    assert (await find_target(database, "shop", "notify")).queue == "shop.orders.notify"
    assert (await find_target(database, "shop", "shop.cards.charge")).patterns == ("card.*",)
    with pytest.raises(UsageError, match="several") as several:
        await find_target(database, "shop", "charge")
    assert "shop.cards.charge or shop.orders.charge" in several.value.hint
    with pytest.raises(UsageError) as unknown:
        await find_target(database, "shop", "notfy")
    assert "notify" in unknown.value.hint
    with pytest.raises(UsageError):
        await find_target(database, "shop", "(journal)")
