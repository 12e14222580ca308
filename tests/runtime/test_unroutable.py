"""A due message whose target is gone waits for a while, then it is a failure that can be redriven."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine import Event, EventData, handler
from engine.model import delay
from engine.model import headers as names
from engine.model.message import HeaderValue, Message, Publication
from engine.model.operation import Item, ItemState, Operation, Options, Stage
from engine.model.operation import State as Running
from engine.model.record import Record, State
from engine.model.topology import Binding, Exchange, Queue, Topology, due_name
from engine.runtime import refusals
from engine.runtime.intake import body_hash
from engine.runtime.redriving import Redrive
from engine.runtime.worker import Worker
from engine.settings import Settings
from engine.storage import outbox, records
from engine.storage.failure_search import Filter, search
from engine.testing.gathering import gather
from engine.testing.harness import Harness
from tests.support.amqp import Leftovers

BODY = b'{"number": 1}'


class Ping(EventData, type="test.ping"):
    number: int


@handler(Ping)
async def pong(event: Event[Ping]) -> None: ...


@dataclass
class Bed:
    """A worker in this process, on a broker of its own or on the shared one under names of its own."""

    worker: Worker
    app: str

    async def after(self, seconds: float, publication: Publication) -> None:
        now = time.time()
        assert await self.worker.broker.publish([delay.plan(self.app, publication, now + seconds, now)]) == [None]

    async def failures(self, count: int) -> dict[str, Any]:
        """The failures by queue, once there are so many."""
        async with asyncio.timeout(15):
            while True:
                rows = await self.worker.database.read(lambda connection: search(connection, Filter(), limit=100))
                if len(rows) >= count:
                    return {row.queue: row for row in rows}
                await asyncio.sleep(0.05)

    async def record(self, queue: str, event_id: str) -> Record:
        key = (queue, event_id)
        return (await self.worker.database.read(lambda connection: records.fetch(connection, [key])))[key]

    async def arrived(self, queue: str) -> Message:
        async with asyncio.timeout(15):
            while (message := await self.worker.broker.get(queue)) is None:
                await asyncio.sleep(0.05)
            return message


@pytest.fixture(params=["embedded", "rabbitmq"])
async def bed(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, app: str
) -> AsyncIterator[Bed]:
    monkeypatch.setattr(refusals, "REFUSED_DELAY", 0.25)
    monkeypatch.setattr(refusals, "LOOKS", 3)
    url = f"embedded://{tmp_path}/broker.db"
    if request.param == "rabbitmq":
        url = request.getfixturevalue("amqp_url")
    settings = Settings.load(
        start=tmp_path, app=app, broker=url, database=f"sqlite:///{tmp_path}/warren.db", exchange=f"{app}.events"
    )
    specs, *_ = gather([pong], app)
    worker, ready = Worker(settings, specs), asyncio.Event()
    running = asyncio.create_task(worker.run(ready.set))
    await asyncio.wait({running, asyncio.ensure_future(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield Bed(worker, app)
    finally:
        worker.stop()
        await running
        if request.param == "rabbitmq":
            leftovers = Leftovers(url)
            leftovers.topology(worker.topology)
            leftovers.queues(f"{app}.gone", f"{app}.late", f"{app}.far")
            leftovers.exchanges(f"{app}.elsewhere")
            await leftovers.delete()


async def test_what_was_for_a_target_that_is_gone_ends_as_a_failure_and_can_be_redriven(bed: Bed) -> None:
    broker, database, app, now = bed.worker.broker, bed.worker.database, bed.app, time.time()
    gone, elsewhere, due = f"{app}.gone", f"{app}.elsewhere", due_name(app)
    waiting = Record(gone, "e-1", State.WAITING, 2, 1, 1, "w", body_hash(BODY), 0, False, now, now)
    await database.write(lambda connection: records.put(connection, [waiting]))
    first: dict[str, HeaderValue] = {
        names.RUN: 2,
        names.EXCHANGE: "events",
        names.ROUTING_KEY: "test.ping",
        names.FIRST_FAILED: 1_800_000,
    }
    retry = Message(BODY, headers={"tenant": "a", **first}, message_id="e-1", type="test.ping")
    event = Message(BODY, message_id="e-2", type="test.ping")

    await bed.after(0.1, Publication("", gone, retry))
    await bed.after(0.1, Publication(elsewhere, "test.ping", event, mandatory=False))
    await bed.after(0.1, Publication(f"{app}.events", "nobody.asks", event, mandatory=False))  # no error
    found = await bed.failures(2)

    assert set(found) == {gone, due}
    row = found[gone]
    assert (row.reason, row.event_id, row.event_type) == ("unroutable", "e-1", "test.ping")
    assert (row.run, row.attempts, row.first_failed) == (3, 1, 1800.0)
    assert (row.exchange, row.routing_key) == ("events", "test.ping")
    assert f"The queue '{gone}' was not on the broker at 3 looks" in row.message
    assert (found[due].exchange, found[due].reason) == (elsewhere, "unroutable")
    assert f"The exchange '{elsewhere}' was not on the broker" in found[due].message
    assert (await bed.record(gone, "e-1"))[2:5] == (State.DEAD, 3, 1)
    assert (await bed.record(due, "e-2")).state is State.DEAD

    queues = tuple(Queue(name, {"x-queue-type": "quorum"}) for name in (gone, f"{app}.far"))
    await broker.declare(Topology((Exchange(elsewhere),), queues, (Binding(elsewhere, f"{app}.far", "test.#"),)))
    await redrive(bed, [row.id for row in found.values()])
    again = await bed.arrived(gone)
    assert (again.body, again.message_id, again.headers["tenant"]) == (BODY, "e-1", "a")
    assert again.headers[names.RUN] == 4
    assert (await bed.arrived(f"{app}.far")).message_id == "e-2"
    async with asyncio.timeout(10):
        while (await bed.record(due, "e-2")).state is not State.DONE:
            await asyncio.sleep(0.02)


async def redrive(bed: Bed, ids: list[int]) -> None:
    """What the operation does in its transaction; a worker's relay sends it."""
    operation = Operation("r-1", bed.app, "redrive", Running.RUNNING, Stage.SENDING, "anna", "", {}, Options(), "", 2)
    items = [Item(position, failure, ItemState.WAITING, "", None, 0.0) for position, failure in enumerate(ids)]

    def work(connection: Any) -> None:
        sent = Redrive().send(connection, operation, items, time.time(), ())
        assert len(sent.rows) == len(ids), sent.items
        outbox.add(connection, None, sent.rows)

    await bed.worker.database.write(work)


async def test_a_target_that_is_declared_in_time_gets_its_message(bed: Bed) -> None:
    late = f"{bed.app}.late"
    began = time.monotonic()
    await bed.after(0.1, Publication("", late, Message(BODY, message_id="e-1")))
    await asyncio.sleep(0.3)
    await bed.worker.broker.declare(Topology(queues=(Queue(late, {"x-queue-type": "quorum"}),)))
    message = await bed.arrived(late)
    assert message.message_id == "e-1"
    assert not names.DELAY_HEADERS & set(message.headers)
    assert time.monotonic() - began < 10
    assert await bed.failures(0) == {}


async def test_it_takes_about_a_minute_and_holds_up_nobody() -> None:
    async with Harness(pong) as harness:
        now = harness.clock.now()
        lost = Publication("", "test.gone", Message(BODY, message_id="e-1"))
        assert await harness.engine.broker.publish([delay.plan("test", lost, now + 1, now)]) == [None]
        await harness.publish(Ping(number=1), delay=2)
        await harness.advance(seconds=50)
        assert len(harness.handled(pong)) == 1
        assert harness.dead_letters() == []
        await harness.advance(seconds=10)
        (letter,) = harness.dead_letters(count=1)
        assert (letter.queue, letter.reason) == ("test.gone", "unroutable")
        assert harness.waiting == 0


async def test_what_the_worker_itself_declares_is_there_again() -> None:
    async with Harness(pong) as harness:
        await harness.publish(Ping(number=1), delay=60)
        await harness.settle()
        await harness.engine.broker.delete_exchange("events")
        await harness.advance(seconds=70)
        harness.handled(pong, count=1)
        harness.dead_letters(count=0)
