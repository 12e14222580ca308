"""Streams in a broker file: beside other queues, across processes, in files from before."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from engine.brokers.base import Entry
from engine.brokers.embedded import EmbeddedBroker
from engine.errors import TopologyMismatch
from engine.model.message import Message, Publication
from engine.model.topology import Binding, Exchange, Queue, Topology
from tests.brokers.embedded.conftest import Connect, rows

STREAM = Topology(
    (Exchange("events"),),
    (Queue("log", {"x-queue-type": "stream"}), Queue("work", {"x-queue-type": "quorum"})),
    (Binding("events", "log", "#"), Binding("events", "work", "order.*")),
)


def event(number: int, key: str = "order.placed") -> Publication:
    return Publication("events", key, Message(b"{}", message_id=str(number)))


async def entries(broker: EmbeddedBroker, offset: int, count: int) -> list[Entry]:
    found: list[Entry] = []
    async with contextlib.aclosing(broker.read("log", offset)) as reading:
        async for entry in reading:
            found.append(entry)
            if len(found) == count:
                break
    return found


async def test_a_stream_has_copies_of_its_own(broker: EmbeddedBroker) -> None:
    await broker.declare(STREAM)
    assert await broker.publish([event(0), event(1, "payment.taken"), event(2)]) == [None] * 3
    assert (await broker.depths(["log", "work"])) == {"log": (3, 0), "work": (2, 0)}
    # What only the stream wanted is nowhere else, and what the other queue handled is still in it.
    assert await rows(broker, "contents") == 2
    assert [message.message_id for _ in range(2) if (message := await broker.get("work"))] == ["0", "2"]
    assert await rows(broker, "contents") == 0
    assert [entry.offset for entry in await entries(broker, 1, 2)] == [1, 2]
    assert await broker.get("log") is None
    assert await broker.delete_queue("log") == 0
    assert [await rows(broker, table) for table in ("entries", "segments")] == [0, 0]


async def test_another_connection_reads_what_is_written(broker: EmbeddedBroker, connect: Connect) -> None:
    await broker.declare(STREAM)
    other = await connect()
    assert await broker.publish([event(number) for number in range(2000)]) == [None] * 2000
    assert await other.span("log") == (0, 2000)
    assert [entry.offset for entry in await entries(other, 500, 1500)] == list(range(500, 2000))


async def test_retention_by_age_is_by_the_brokers_clock(path: Path) -> None:
    now = 1000.0
    arguments: dict[str, str | int] = {
        "x-queue-type": "stream",
        "x-max-age": "1h",
        "x-stream-max-segment-size-bytes": 1000,
    }
    broker = EmbeddedBroker(path, clock=lambda: now)
    await broker.connect()
    await broker.declare(Topology(queues=(Queue("log", arguments),)))

    async def publish(count: int) -> None:
        made = [Publication("", "log", Message(b"x" * 400, message_id="e")) for _ in range(count)]
        assert await broker.publish(made) == [None] * count

    await publish(10)
    now += 3601
    await publish(1)  # the segment is not full: nobody looks
    assert await broker.span("log") == (0, 11)
    await publish(3)
    first, after = await broker.span("log")
    assert (first, after) == (9, 14)
    assert await broker.span("log", 4000.0) == (10, 14)
    now -= 3000  # a clock that goes back does not hide what is written then
    await publish(1)
    assert await broker.span("log", now + 3000) == (10, 15)
    await broker.close()


async def test_a_file_from_before_gets_its_tables(path: Path, connect: Connect) -> None:
    await (await connect()).close()
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript("DROP TABLE entries; DROP TABLE segments")
    broker = await connect()
    await broker.declare(STREAM)
    assert await broker.publish([event(0)]) == [None]
    assert await broker.span("log") == (0, 1)


@pytest.mark.parametrize(
    "wrong", [{"x-max-age": "week"}, {"x-max-length-bytes": -1}, {"x-stream-max-segment-size-bytes": "big"}]
)
async def test_limits_that_cannot_be(broker: EmbeddedBroker, wrong: dict[str, str | int]) -> None:
    with pytest.raises(TopologyMismatch, match=next(iter(wrong))):
        await broker.declare(Topology(queues=(Queue("log", {"x-queue-type": "stream", **wrong}),)))
