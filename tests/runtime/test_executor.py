"""Recorded operations, performed by workers in the test's own process, on both homes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from engine import Event, EventData, RetryPolicy, Settings, handler
from engine.model.message import Message, Publication
from engine.model.operation import ItemState, Operation, Options, State
from engine.operations import redrive, steering
from engine.operations.operator import Operator
from engine.operations.progress import follow, items, one
from engine.runtime import executor
from engine.runtime.worker import Worker
from engine.storage import audit, edits
from engine.storage.edits import NewEdit
from engine.storage.failure_search import Filter, search
from engine.storage.failures import FailureRow
from engine.testing.gathering import gather
from tests.support.failing import bury_many
from tests.support.inprocess import own_settings, until, working

ANNA = Operator("anna@web-1")


class Placed(EventData, type="order.placed"):
    order_id: str


#: What the handler refuses, and what it was given, by order id.
refused: set[str] = set()
handled: Counter[str] = Counter()


@handler(Placed, retry=RetryPolicy(max_attempts=1), concurrency=20)
async def charge(event: Event[Placed]) -> None:
    if event.data.order_id in refused:
        raise TimeoutError("the provider did not answer")
    handled[event.data.order_id] += 1


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "LOOK", 0.05)
    refused.clear()
    handled.clear()


@pytest.fixture(params=["embedded-sqlite", "rabbitmq-postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> Settings:
    if request.param == "embedded-sqlite":
        return own_settings(tmp_path, app)
    url = request.getfixturevalue("postgres_url")
    return own_settings(tmp_path, app, request.getfixturevalue("amqp_url"), database=url, migrate=True)


async def start(worker: Worker, count: int, options: Options) -> Operation:
    """Redrive so many failures."""
    queue = worker.consumers[0].queue
    await bury_many(worker.database, count, queue=queue)
    plan = await redrive.plan(worker.database, worker.broker, Filter(queue=queue))
    assert len(plan.ids) == count
    app = worker.settings.app
    return await redrive.start(worker.database, plan, app=app, operator=ANNA, why="it is mended", options=options)


async def at_rest(worker: Worker, operation: Operation) -> Operation:
    """The operation once it has ended, or does not run."""
    async with asyncio.timeout(20):
        [*_, stands] = [
            each async for each in follow(worker.database, operation.id, until_verified=True, interval=0.03)
        ]
    return stands


async def test_an_operation_is_performed_and_verified(settings: Settings) -> None:
    refused.update({"3", "4"})
    async with working(settings, charge) as worker:
        done = await at_rest(worker, await start(worker, 60, Options(canary=2)))
        assert (done.state, done.succeeded, done.failed_otherwise, done.owner) == (State.DONE, 58, 2, None)
        assert set(handled.values()) == {1}
        failed = await items(worker.database, done.id, state=ItemState.FAILED_OTHERWISE)
        assert [(item.position, item.verdict, item.run) for item in failed] == [(4, "ready", 3), (5, "ready", 3)]
        acts = [(entry.action, entry.who) for entry in await worker.database.read(audit.list_entries)]
        assert acts == [("redrive done", ANNA.who), ("redrive", ANNA.who)]


async def test_it_stops_by_itself_and_goes_on_when_resumed(settings: Settings) -> None:
    refused.update({"1", *map(str, range(20, 40))})
    async with working(settings, charge) as worker:
        stopped = await at_rest(worker, await start(worker, 60, Options(canary=3, stop_after=5, rate=25)))
        assert (stopped.state, stopped.sent) == (State.STOPPED, 3)
        assert stopped.note == (
            "1 of 3 canaries failed again; 1 of them with TimeoutError: the provider did not answer"
        )

        refused.discard("1")
        await steering.resume(worker.database, stopped.id, operator=ANNA)
        stopped = await at_rest(worker, stopped)
        assert (stopped.state, stopped.stage) == (State.STOPPED, "sending")
        assert stopped.failed >= 6
        assert 25 <= stopped.sent < 60

        refused.clear()
        await steering.resume(worker.database, stopped.id[:6], operator=ANNA, why="mended again")
        done = await at_rest(worker, stopped)
        assert (done.state, done.waiting, done.succeeded) == (State.DONE, 0, 60 - done.failed)
        assert set(handled.values()) == {1}
        assert len(handled) == done.succeeded


async def test_the_rate_is_held_and_a_pause_holds_it_up(settings: Settings) -> None:
    async with working(settings, charge) as worker:
        operation = await start(worker, 150, Options(rate=100))
        await until(lambda: _sent(worker, operation, 40), "the first forty")
        paused = await steering.pause(worker.database, operation.id, operator=ANNA)
        assert 40 <= paused.sent < 100
        await until(lambda: _handled(paused.sent), "what was sent before")
        resumed = time.monotonic()
        assert (await one(worker.database, operation.id)).sent == paused.sent
        await steering.resume(worker.database, operation.id, operator=ANNA)
        done = await at_rest(worker, operation)
        assert (done.state, done.succeeded) == (State.DONE, 150)
        assert (150 - paused.sent) / (time.monotonic() - resumed) < 115


async def test_a_cancel_is_effective_within_a_second(settings: Settings) -> None:
    async with working(settings, charge) as worker:
        operation = await start(worker, 2000, Options(rate=500))
        await until(lambda: _sent(worker, operation, 100), "the first hundred")
        begun = time.monotonic()
        cancelled = await steering.cancel(worker.database, operation.id, operator=ANNA, why="the wrong ones")
        await worker.relay.flushed()
        assert time.monotonic() - begun < 1
        await until(lambda: _handled(cancelled.sent), "what was sent before")
        # Nothing more was sent, and what was sent is verified all the same.
        stands = await until(lambda: _verified(worker, operation), "its outcomes")
        assert (stands.state, stands.sent, stands.succeeded) == (State.CANCELLED, cancelled.sent, cancelled.sent)
        assert stands.waiting == 2000 - cancelled.sent
        assert len(handled) == cancelled.sent


async def test_a_worker_that_drains_leaves_the_rest_to_another(settings: Settings) -> None:
    first, ready = Worker(settings, gather([charge], settings.app).handlers), asyncio.Event()
    running = asyncio.create_task(first.run(ready.set))
    await ready.wait()
    operation = await start(first, 300, Options(rate=300))
    async with working(settings, charge) as second:
        await until(lambda: _sent(second, operation, 30), "the first thirty")
        first.stop()
        await running
        done = await at_rest(second, operation)
        assert (done.state, done.succeeded) == (State.DONE, 300)
        assert set(handled.values()) == {1}


async def test_a_late_copy_of_what_was_redriven_with_an_edited_body_is_no_conflict(settings: Settings) -> None:
    async with working(settings, charge) as worker:
        database, consumer = worker.database, worker.consumers[0]
        [failure] = await bury_many(database, 1, queue=consumer.queue)
        edit = NewEdit(failure, b'{"order_id": "0"}', b'{"order_id": "7"}', "[]")
        await database.write(lambda connection: edits.add(connection, edit, who="anna", why="", now=1.0))
        plan = await redrive.plan(database, worker.broker, Filter(ids=[failure]))
        app = settings.app
        done = await at_rest(worker, await redrive.start(database, plan, app=app, operator=ANNA, why=""))
        assert (done.succeeded, handled) == (1, {"7": 1})

        copy = Message(edit.original, message_id="m-000000", type="order.placed", content_type="application/json")
        forged = replace(copy, body=b'{"order_id": "8"}')
        assert (
            await worker.broker.publish([Publication("", consumer.queue, each) for each in (copy, forged)])
            == [None] * 2
        )
        # Only what neither was published nor edited here is a conflict.
        [conflict] = await until(lambda: _conflicts(worker), "the conflict")
        assert (consumer.stats.stale, conflict.event_id, handled) == (1, "m-000000", {"7": 1})


async def _conflicts(worker: Worker) -> list[FailureRow]:
    return await worker.database.read(lambda connection: search(connection, Filter(reason="conflict")))


async def _sent(worker: Worker, operation: Operation, count: int) -> bool:
    return (await one(worker.database, operation.id)).sent >= count


async def _verified(worker: Worker, operation: Operation) -> Operation | None:
    stands = await one(worker.database, operation.id)
    return None if stands.pending else stands


async def _handled(count: int) -> bool:
    return len(handled) >= count
