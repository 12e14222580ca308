"""The outbox in order: rows of one key leave in the order of their commits, whoever relays them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.brokers import open_broker
from engine.brokers.base import Broker
from engine.model.event import EventData, new_event
from engine.model.message import Message
from engine.model.outgoing import Kind, Order, Outgoing, order_of
from engine.model.topology import Queue, Topology
from engine.runtime import clock
from engine.runtime.ids import new_id
from engine.runtime.relay import Relay, RemoveSection
from engine.storage import outbox
from engine.storage.database import Database

OPEN, FULL = "open", "full"


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path}/warren.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    opened = await Database.open(url, migrate=True)
    yield opened
    await opened.close()


@pytest.fixture
async def broker(tmp_path: Path, app: str) -> AsyncIterator[Broker]:
    made = open_broker(f"embedded://{tmp_path}/broker.db", app=app)
    await made.connect()
    await made.declare(Topology(queues=(Queue(OPEN), Queue(FULL, {"x-max-length": 1, "x-overflow": "reject-publish"}))))
    yield made
    await made.close()


@asynccontextmanager
async def relaying(broker: Broker, database: Database, owner: str, *dead: str) -> AsyncIterator[Relay]:
    relay = Relay(broker, database, app="shop", owner=owner, alive=lambda worker: worker not in dead)
    relay.confirmed = database.writer.add(RemoveSection(relay))
    running = asyncio.create_task(relay.run())
    yield relay
    running.cancel()
    await asyncio.wait({running})


def row(name: str, key: str | None, queue: str = OPEN) -> Outgoing:
    order = None if key is None else Order(key)
    return Outgoing(new_id(), Kind.EMIT, "", queue, Message(b"{}", {}, name), True, None, time.time(), order=order)


async def put(database: Database, owner: str | None, *rows: Outgoing) -> None:
    await database.write(lambda connection: outbox.add(connection, owner, rows))


async def came(broker: Broker, count: int) -> list[str | None]:
    """The ids of the next messages, in their order."""
    found: list[str | None] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            message = await broker.get(OPEN)
            if message is None:
                await asyncio.sleep(0.01)
            else:
                found.append(message.message_id)
    return found


async def test_a_refused_row_holds_back_those_of_its_key_and_no_others(broker: Broker, database: Database) -> None:
    await broker.publish([])
    async with relaying(broker, database, "me") as relay:
        rows = [row("stopper", None, FULL), row("a1", "a", FULL), row("a2", "a"), row("b1", "b"), row("a3", "a")]
        await put(database, "me", *rows)
        relay.send(rows)
        assert await came(broker, 1) == ["b1"]
        assert await broker.get(OPEN) is None
        assert (await broker.get(FULL) or Message(b"")).message_id == "stopper"
        assert await came(broker, 2) == ["a2", "a3"]
        await relay.flushed()
    assert (await broker.get(FULL) or Message(b"")).message_id == "a1"


async def test_a_row_waits_for_those_that_others_committed_before(broker: Broker, database: Database) -> None:
    first, other = row("a1", "a"), row("c1", "c")
    await put(database, "other", first, other)
    mine = [row("a2", "a"), row("b1", "b")]
    await put(database, "me", *mine)
    # What the other commits now stands behind mine, and neither waits for the other for ever.
    last = row("a3", "a")
    await put(database, "other", last)
    async with relaying(broker, database, "me") as relay, relaying(broker, database, "other") as others:
        relay.send(mine)
        assert await came(broker, 1) == ["b1"]
        assert relay.backlog >= 1
        others.send([first, other, last])
        assert sorted(await came(broker, 4), key=str) == ["a1", "a2", "a3", "c1"]
        await relay.flushed()
        await others.flushed()
    assert await database.read(outbox.pending) == 0


async def test_the_order_of_the_commits_is_that_of_the_queue(broker: Broker, database: Database) -> None:
    rows = [(f"{number % 2}", row(f"{number}", "a")) for number in range(12)]
    for owner, one in rows:
        await put(database, owner, one)
    async with relaying(broker, database, "0") as even, relaying(broker, database, "1") as odd:
        odd.send(one for owner, one in rows if owner == "1")
        even.send(one for owner, one in rows if owner == "0")
        assert await came(broker, 12) == [str(number) for number in range(12)]
        await asyncio.gather(even.flushed(), odd.flushed())


async def test_rows_of_the_dead_and_of_applications_go_first(broker: Broker, database: Database) -> None:
    await put(database, "dead", row("a1", "a"))
    await put(database, None, row("a2", "a"))
    mine = row("a3", "a")
    await put(database, "me", mine)
    async with relaying(broker, database, "me", "dead") as relay:
        relay.send([mine])
        assert await relay.sweep() == 2
        assert await came(broker, 3) == ["a1", "a2", "a3"]
        await relay.flushed()


def test_only_events_of_an_aggregate_are_in_an_order() -> None:
    class Loose(EventData, type="test.loose"):
        number: int

    class Bound(EventData, type="test.bound", aggregate="thing", key="number"):
        number: int

    made = [new_event(data, id="1", now=clock.utc(), source="test") for data in (Loose(number=1), Bound(number=1))]
    orders = [order_of(event) for event in made]
    assert orders[0] is None
    assert orders[1] is not None
    assert orders[1].key == "thing/1"
