"""The relay: rows that no broker can carry, rows that are refused, rows that nobody remembers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.brokers import open_broker
from engine.brokers.base import Broker
from engine.model import headers as names
from engine.model.deadletter import DeadLetter
from engine.model.message import Message
from engine.model.outgoing import Kind, Outgoing
from engine.model.record import Claim, Holder, State
from engine.model.topology import Exchange, Queue, Topology
from engine.runtime.ids import new_id
from engine.runtime.intake import body_hash
from engine.runtime.relay import Relay, RemoveSection
from engine.storage import failure_search, failures, outbox, records
from engine.storage.database import Database
from engine.storage.failure_search import Filter
from engine.storage.failures import FailureDetail
from tests.support.amqp import Leftovers

OWNER = "host:1:me"
#: Too many bytes of headers for a frame of 128 KiB.
HUGE = {f"foreign-{number}": "x" * 400 for number in range(400)}


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(f"sqlite:///{tmp_path}/warren.db", migrate=True)
    yield database
    await database.close()


@pytest.fixture
async def rabbit(amqp_url: str, app: str, leftovers: Leftovers) -> AsyncIterator[Broker]:
    broker = open_broker(amqp_url, app=app)
    await broker.connect()
    await broker.declare(
        Topology((Exchange(f"{app}.dlx", "direct"),), queues=(Queue(app, {"x-queue-type": "quorum"}),))
    )
    leftovers.queues(app)
    leftovers.exchanges(f"{app}.dlx")
    yield broker
    await broker.close()


@pytest.fixture
async def embedded(tmp_path: Path, app: str) -> AsyncIterator[Broker]:
    broker = open_broker(f"embedded://{tmp_path}/broker.db", app=app)
    await broker.connect()
    await broker.declare(Topology(queues=(Queue(app),)))
    yield broker
    await broker.close()


@asynccontextmanager
async def relaying(broker: Broker, database: Database, app: str) -> AsyncIterator[Relay]:
    relay = Relay(broker, database, app=app, owner=OWNER, alive=lambda worker: worker == OWNER)
    relay.confirmed = database.writer.add(RemoveSection(relay))
    running = asyncio.create_task(relay.run())
    yield relay
    running.cancel()
    await asyncio.wait({running})


def row(kind: Kind, queue: str, message: Message) -> Outgoing:
    return Outgoing(new_id(), kind, "", queue, message, True, None, time.time())


async def put(database: Database, relay: Relay, *rows: Outgoing) -> None:
    await database.write(lambda connection: outbox.add(connection, OWNER, rows))
    relay.send(rows)


async def the_failure(database: Database) -> FailureDetail:
    (found,) = await database.read(lambda connection: failure_search.search(connection, Filter(), limit=10))
    detail = await database.read(lambda connection: failures.get(connection, found.id))
    assert detail is not None
    return detail


async def test_headers_that_are_too_large_are_left_off(rabbit: Broker, database: Database, app: str) -> None:
    message = Message(b"{}", {**{f"long-{number}": "x" * 2000 for number in range(100)}, "short": "s"}, "m-1")
    async with relaying(rabbit, database, app) as relay:
        await put(database, relay, row(Kind.EMIT, app, message), row(Kind.EMIT, app, Message(b"2", HUGE, "m-2")))
        await relay.flushed()
    assert await database.read(outbox.pending) == 0
    found = {message.message_id: message for _ in range(2) if (message := await rabbit.get(app))}
    assert found["m-1"].headers == {"short": "s"}
    assert (found["m-2"].body, found["m-2"].headers) == (b"2", {})


async def test_what_can_never_be_published_becomes_a_failure_and_stops_nobody(
    rabbit: Broker, database: Database, app: str
) -> None:
    """A retry whose properties no frame can carry: its record is dead, the table has the message as it was."""
    bad = Message(b'{"a":1}', {names.RUN: 2, "kept": "k"}, "m-1", reply_to="x" * 300)
    claim = Claim(app, "m-1", 0, body_hash(bad.body))
    await database.write(lambda connection: waiting(connection, claim))
    async with relaying(rabbit, database, app) as relay:
        await put(database, relay, row(Kind.RETRY, app, bad), row(Kind.RETRY, app, Message(b"fine", {}, "m-2")))
        await relay.flushed()
    assert await database.read(outbox.pending) == 0
    fine = await rabbit.get(app)
    assert fine is not None
    assert fine.body == b"fine"
    failure = await the_failure(database)
    assert (failure.row.queue, failure.row.event_id, failure.row.reason) == (app, "m-1", "unpublishable")
    assert "300 bytes" in failure.row.message
    assert (failure.original.body, failure.original.headers) == (bad.body, {"kept": "k"})
    record = (await database.read(lambda connection: records.fetch(connection, [claim[:2]])))[claim[:2]]
    assert (record.state, record.run) == (State.DEAD, failure.row.run)


async def test_a_dead_letter_with_too_many_headers_is_written_down_whole(
    rabbit: Broker, database: Database, app: str
) -> None:
    letter = DeadLetter("exhausted", "ValueError", "no", "Traceback …", attempts=4, run=5, queue=app, handler="book")
    message = Message(b"{}", {**HUGE, **letter.to_headers()}, "m-1")
    async with relaying(rabbit, database, app) as relay:
        await put(database, relay, row(Kind.DEAD, app, message)._replace(exchange=f"{app}.dlx"))
        await relay.flushed()
    failure = await the_failure(database)
    assert (failure.row.reason, failure.row.exception, failure.row.attempts) == ("exhausted", "ValueError", 4)
    assert failure.row.run == 5
    assert (failure.traceback, failure.original.headers) == ("Traceback …", HUGE)


async def test_what_a_queue_refuses_waits_and_holds_up_no_other(embedded: Broker, database: Database, app: str) -> None:
    async with relaying(embedded, database, app) as relay:
        await put(database, relay, row(Kind.SEND, f"{app}.late", Message(b"late", {}, "m-1")))
        await put(database, relay, row(Kind.SEND, app, Message(b"now", {}, "m-2")))
        async with asyncio.timeout(30):
            while (taken := await embedded.get(app)) is None:
                await asyncio.sleep(0.01)
        assert taken.body == b"now"
        # Nor does it keep a sweep from finding what others left.
        sweeping = asyncio.create_task(relay.sweep_regularly())
        for number in range(3):
            orphan = row(Kind.SEND, app, Message(b"%d" % number, {}, f"o-{number}"))
            await database.write(lambda connection, orphan=orphan: outbox.add(connection, None, [orphan]))
            async with asyncio.timeout(30):
                while (taken := await embedded.get(app)) is None:
                    await asyncio.sleep(0.01)
            assert taken.body == b"%d" % number
        sweeping.cancel()
        await asyncio.wait({sweeping})
        async with asyncio.timeout(60):
            await relay.eased(1)  # what was taken may not be struck off yet
            assert relay.backlog == 1
            await embedded.declare(Topology(queues=(Queue(f"{app}.late"),)))
            await relay.flushed()
    assert await database.read(outbox.pending) == 0


async def test_a_row_of_ours_that_is_not_remembered_is_found_again(
    embedded: Broker, database: Database, app: str
) -> None:
    """Its COMMIT was done and the answer to it lost: after two looks it is published."""
    lost = row(Kind.SEND, app, Message(b"lost", {}, "m-1"))
    await database.write(lambda connection: outbox.add(connection, OWNER, [lost]))
    async with relaying(embedded, database, app) as relay:
        await relay.find_strays(age=0.0)
        assert relay.backlog == 0, "one look is not enough: it may have been committed this very moment"
        await relay.find_strays(age=0.0)
        await relay.flushed()
        message = await embedded.get(app)
        assert message is not None
        assert message.body == b"lost"
        # What is in memory is no stray.
        refused = row(Kind.SEND, f"{app}.nobody", Message(b"", {}, "m-2"))
        await put(database, relay, refused)
        for _ in range(3):
            await relay.find_strays(age=0.0)
        assert relay.backlog == 1
        assert await database.read(outbox.pending) == 1


async def test_only_one_claims_a_row(database: Database) -> None:
    rows = [row(Kind.EMIT, "q", Message(b"", {}, f"m-{number}")) for number in range(5)]
    await database.write(lambda connection: outbox.add(connection, None, rows))
    ids = [each.id for each in rows]
    first = await database.write(lambda connection: outbox.claim(connection, "one", ids[:3]))
    second = await database.write(lambda connection: outbox.claim(connection, "two", [*ids, "unknown"]))
    assert [each.id for each in first] == ids[:3]
    assert [each.id for each in second] == ids[3:]


def waiting(connection, claim: Claim) -> None:  # type: ignore[no-untyped-def]
    """A record that waits for its second attempt."""
    records.claim(connection, [claim], worker="w", holder=lambda record: Holder.ALIVE, now=1.0)
    record = records.fetch(connection, [claim[:2]])[claim[:2]]
    records.put(connection, [record._replace(state=State.WAITING, run=2)])
