"""What can be wrong with a broker file, before and while it is used."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from pathlib import Path

import pytest

from engine.brokers.embedded import EmbeddedBroker
from engine.brokers.embedded.file import explain
from engine.brokers.embedded.schema import SCHEMA_VERSION
from engine.errors import BrokerError, BrokerUnavailable, TopologyMismatch
from engine.model.topology import Queue, Topology
from tests.brokers.embedded.conftest import Connect, Inbox, declare, drain, ids, to


async def refused(path: Path, **options: float) -> str:
    """Connect, which must fail; the error's text. Nothing is left open."""
    broker = EmbeddedBroker(path, **options)
    with pytest.raises(BrokerUnavailable) as caught:
        await broker.connect()
    assert caught.value.hint
    assert str(path) in caught.value.message
    return caught.value.message


async def test_a_directory(tmp_path: Path) -> None:
    assert "is a directory" in await refused(tmp_path)


async def test_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"These are not the rows you look for. " * 100)
    assert "not a database" in await refused(path)
    assert path.read_bytes().startswith(b"These")


async def test_a_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    connection.close()
    assert "another program" in await refused(path)


async def test_a_newer_file(path: Path, connect: Connect) -> None:
    await (await connect()).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    assert "newer Warren" in await refused(path)


async def test_a_damaged_file(path: Path, connect: Connect) -> None:
    broker = await connect()
    queue = await declare(broker, "q")
    await broker.publish(to(queue, *range(1000)))
    await broker.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    await refused(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        await refused(tmp_path / "broker.db")
    finally:
        tmp_path.chmod(0o700)


def test_errors_of_sqlite_are_explained() -> None:
    for code, words in ((sqlite3.SQLITE_READONLY, "read-only"), (sqlite3.SQLITE_FULL, "disk is full")):
        error = sqlite3.OperationalError("as SQLite says it")
        error.sqlite_errorcode = code | 1 << 8  # an extended code
        found = explain(error, Path("/x/broker.db"))
        assert words in found.message
        assert found.hint


async def test_a_file_locked_for_long_at_connect(path: Path, connect: Connect) -> None:
    await (await connect()).close()
    stranger = sqlite3.connect(path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    try:
        await refused(path, timeout=0.5)
    finally:
        stranger.close()


async def test_a_file_locked_while_in_use(path: Path, connect: Connect) -> None:
    """The call fails after its time-out and is forgotten; acks are kept; all goes on when the lock is gone."""
    broker = await connect(timeout=3.0)
    queue = await declare(broker, "q")
    await broker.publish(to(queue, "1"))
    inbox = Inbox()
    subscription = await broker.consume(queue, prefetch=1, receive=inbox.receive)
    out = await inbox.take(1)
    states: asyncio.Queue[BrokerError | None] = asyncio.Queue()
    broker.on_state = lambda name, error: states.put_nowait(error)
    stranger = sqlite3.connect(path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    await subscription.ack(out)
    answers = await broker.publish(to(queue, "lost", "too"))
    assert [type(answer) for answer in answers] == [BrokerUnavailable] * 2
    trouble = await states.get()
    assert isinstance(trouble, BrokerUnavailable)
    assert "locked" in trouble.message
    stranger.execute("ROLLBACK")
    stranger.close()
    assert await states.get() is None
    assert await broker.publish(to(queue, "2")) == [None]
    assert ids(await inbox.take(1)) == ["2"]
    assert (await broker.depths([queue]))[queue] == (0, 1)


async def test_a_file_held_by_a_process_that_stopped(path: Path, connect: Connect) -> None:
    broker = await connect(timeout=0.3)
    queue = await declare(broker, "q")
    states: asyncio.Queue[BrokerError | None] = asyncio.Queue()
    broker.on_state = lambda name, error: states.put_nowait(error)
    turn = os.open(path.with_name("broker.db.lock"), os.O_RDWR)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        (answer,) = await broker.publish(to(queue, "1"))
        assert isinstance(answer, BrokerUnavailable)
        assert isinstance(await states.get(), BrokerUnavailable)
        await refused(path, timeout=0.3)
    finally:
        os.close(turn)
    assert await states.get() is None
    assert await broker.publish(to(queue, "2")) == [None]
    assert await drain(broker, queue) == ["2"]
    assert states.empty()


async def test_a_full_disk(connect: Connect) -> None:
    """Nothing is written and nothing lost; when there is room again it goes on."""
    broker = await connect()
    queue = await declare(broker, "q")
    await broker.publish(to(queue, "1"))
    states: asyncio.Queue[BrokerError | None] = asyncio.Queue()
    broker.on_state = lambda name, error: states.put_nowait(error)
    await broker.ask(lambda s: s.connection.execute("PRAGMA max_page_count = 1").fetchall())
    publishing = asyncio.create_task(broker.publish(to(queue, *range(1000))))
    trouble = await states.get()
    assert trouble is not None
    assert "disk is full" in trouble.message
    assert not publishing.done()
    # The limit is lifted by a later transaction, and there is none while the group is tried again.
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
    await broker.ask(lambda s: s.connection.execute("PRAGMA max_page_count = 1000000").fetchall())
    assert await states.get() is None
    assert await broker.publish(to(queue, "2")) == [None]
    assert await drain(broker, queue) == ["1", "2"]


async def test_a_file_deleted_while_in_use(path: Path, connect: Connect) -> None:
    """What was declared and consumed is there again, in a new file."""
    broker = await connect()
    queue = await declare(broker, "q", delivery_limit=7)
    gone = await declare(broker, "gone")
    await broker.delete_queue(gone)
    inbox = Inbox()
    await broker.consume(queue, prefetch=1, receive=inbox.receive)
    await broker.publish(to(queue, "1"))
    (out,) = await inbox.take(1)
    states: asyncio.Queue[BrokerError | None] = asyncio.Queue()
    broker.on_state = lambda name, error: states.put_nowait(error)
    for file in path.parent.glob("broker.db*"):
        if file.is_file():
            file.unlink()
    assert isinstance(await states.get(), BrokerUnavailable)
    assert await states.get() is None
    assert await broker.publish(to(queue, "2")) == [None]
    (delivery,) = await inbox.take(1)
    assert delivery.message.message_id == "2"
    assert delivery.generation > out.generation
    other = await connect()
    assert (await other.depths([queue, gone])) == {queue: (0, 1), gone: None}
    with pytest.raises(TopologyMismatch, match=r"x-delivery-limit"):
        await other.declare(Topology(queues=(Queue(queue, {"x-delivery-limit": 8}),)))


async def test_one_request_that_cannot_be_written_fails_alone(broker: EmbeddedBroker) -> None:
    queue = await declare(broker, "q")
    results = await asyncio.gather(
        broker.publish(to(queue, "1")),
        broker.ask(lambda s: s.connection.execute("INSERT INTO queues VALUES (NULL, NULL, NULL)")),
        broker.publish(to(queue, "2")),
        return_exceptions=True,
    )
    assert results[0] == results[2] == [None]
    assert isinstance(results[1], BrokerError)
    assert await drain(broker, queue) == ["1", "2"]


async def test_calls_after_close_say_so(connect: Connect) -> None:
    broker = await connect()
    await broker.close()
    await broker.close()
    with pytest.raises(BrokerUnavailable, match="not connected"):
        await broker.depths(["q"])
    (answer,) = await broker.publish(to("q", "1"))
    assert isinstance(answer, BrokerUnavailable)


async def test_a_publish_that_nobody_waits_for_any_more_is_not_written(path: Path, connect: Connect) -> None:
    broker = await connect()
    queue = await declare(broker, "q")
    stranger = sqlite3.connect(path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    first = asyncio.create_task(broker.publish(to(queue, "1")))
    second = asyncio.create_task(broker.publish(to(queue, "2")))
    await asyncio.wait({first}, timeout=0.1)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    stranger.execute("ROLLBACK")
    stranger.close()
    assert await first == [None]
    assert "1" in await drain(broker, queue)
