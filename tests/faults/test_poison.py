"""Frames that kill ordinary clients, and bodies that fill memories: dead on attempt 1, with nobody disturbed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from engine.brokers import open_broker
from engine.errors import PublishRefused
from engine.model.message import Message, Publication
from engine.runtime.application import Engine
from tests.brokers.rabbitmq.test_poison import POISON, publish_raw
from tests.faults.load import PLUGIN, publish
from tests.support.workers import Fleet

pytestmark = pytest.mark.faults

MIB = 1024 * 1024
#: What one bad message may cost.
MOST = 64 * MIB


async def test_poison_frames_are_dead_on_attempt_1_without_a_reconnect(rabbit_fleet: Fleet) -> None:
    fleet = rabbit_fleet
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(PLUGIN))
    exchange = f"{fleet.app}.events"
    for index, (properties, _) in enumerate(POISON.values()):
        body = b'{"number": %d}' % index  # where no id can be read, equal bodies would be one message
        await publish_raw(fleet.broker, b"test.effect", properties, body, exchange.encode())
        fleet.tally.fault()
    confirmed = await publish(fleet, range(50))
    await fleet.until(lambda: len(failures(fleet)) == len(POISON), "the poison to be dead")
    assert {(reason, attempts) for reason, _, attempts in failures(fleet)} == {("unreadable", 1)}
    for _, said in POISON.values():
        assert any(said in message for _, message, _ in failures(fleet)), said
    await fleet.until(lambda: len(fleet.effects("followed")) == len(confirmed), "the others to be handled")
    assert await worker.terminate() == 0
    assert "is lost" not in worker.said()
    fleet.assert_once("booked", confirmed)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process as Linux tells it")
@pytest.mark.parametrize("kind", ["17 MiB", "16 MiB of []", "deep"])
async def test_a_large_body_costs_little_memory(rabbit_fleet: Fleet, kind: str) -> None:
    fleet = rabbit_fleet
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(PLUGIN))
    await publish(fleet, range(10))
    await fleet.until(lambda: len(fleet.effects("followed")) == 10, "the worker to be warm")
    base = memory(worker.process.pid, "VmRSS")
    Path(f"/proc/{worker.process.pid}/clear_refs").write_text("5")  # the peak is measured anew
    body = {
        "17 MiB": b'{"number": 1, "padding": "%s"}' % (b"x" * 17 * MIB),
        "16 MiB of []": b"[" + b"[]," * (16 * MIB // 3) + b"[]]",
        "deep": b"[" * 16 * MIB,
    }[kind]
    async with Engine(fleet.settings()) as engine:
        for count in (1, 2, 3):  # what is left of one must be gone when the next comes
            message = Message(body, message_id=f"large-{count}", type="test.effect")
            try:
                await engine.publish_messages([("test.effect", message)])
            except PublishRefused:  # RabbitMQ takes 16 MiB from 4.0 on, 128 MiB before
                if len(body) > 16 * MIB:
                    return
                raise
            fleet.tally.fault()
            await fleet.until(lambda count=count: len(failures(fleet)) == count, "the body to be refused")  # type: ignore[misc]
    assert {failure[::2] for failure in failures(fleet)} == {("unreadable", 1)}
    assert memory(worker.process.pid, "VmHWM") - base <= MOST
    assert "is lost" not in worker.said()


async def test_a_dead_letter_queue_of_poison_is_taken_in(rabbit_fleet: Fleet) -> None:
    """Another program moved it there by hand; the intake reads what it can, and loops over nothing."""
    fleet = rabbit_fleet
    await fleet.make_effects()
    worker = await fleet.start(fleet.plugin(PLUGIN))
    queue = f"{fleet.app}.plugin.follow.dlq"
    for index, (properties, _) in enumerate(POISON.values()):
        await publish_raw(fleet.broker, queue.encode(), properties, b'{"number": %d}' % index)
        fleet.tally.fault()
    await fleet.until(lambda: len(failures(fleet)) == len(POISON), "the poison to be taken in")
    broker = open_broker(fleet.broker, app=fleet.app)
    await broker.connect()
    try:
        assert await broker.publish([Publication("", queue, Message(b'{"number": 2}', message_id="after"))]) == [None]
        await fleet.until(
            lambda: bool(fleet.query("SELECT 1 FROM warren_failures WHERE event_id = 'after'")), "the last"
        )
    finally:
        await broker.close()
    assert await worker.terminate() == 0
    assert "is lost" not in worker.said()


WITNESS = "s3cr3t-of-the-payload"
TALKATIVE = """
from engine import Event, EventData, RetryPolicy, handler

class Note(EventData, type="test.note"):
    number: int
    note: str

@handler(Note, retry=RetryPolicy(max_attempts=2, initial=0.25))
async def read(event: Event[Note]) -> None:
    if event.data.number:
        raise ValueError(f"cannot take {event.data.note}")
"""


async def test_the_logs_tell_no_payload_and_no_password(fleet: Fleet) -> None:
    if fleet.database.startswith("postgresql"):  # which asks nobody for it here
        fleet.database = fleet.database.replace("postgres@", "postgres:hunter2@")
    worker = await fleet.start(
        fleet.plugin(TALKATIVE), "--log-level", "debug", WARREN_DATABASE=fleet.database, WARREN_LOG_FORMAT="json"
    )
    bodies = [b'{"number": %d, "note": "%s"}' % (number, WITNESS.encode()) for number in range(2)]
    bodies += [
        b'{"number": "%s", "note": ""}' % WITNESS.encode(),
        b'{"number": 0, "note": "%s"' % WITNESS.encode(),
        b'{"number": 0, "%s": 1, "%s": 2}' % (WITNESS.encode(), WITNESS.encode()),
        b"[" * 100_000 + WITNESS.encode(),
        b'{"eventType": "test.note", "eventId": 7, "data": "%s"}' % WITNESS.encode(),
    ]
    async with Engine(fleet.settings(database=fleet.database)) as engine:
        await engine.publish_messages(
            [
                ("test.note", Message(body, {"note": WITNESS}, message_id=str(number), correlation_id=WITNESS[::-1]))
                for number, body in enumerate(bodies)
            ]
        )
        fleet.tally.fault(len(bodies) - 1)
    await fleet.until(lambda: len(failures(fleet)) == len(bodies) - 1, "all but one to be dead")
    assert await worker.terminate() == 0
    assert "ValueError" in worker.said()
    assert WITNESS not in worker.said()
    assert "hunter2" not in worker.said()
    assert "guest:guest" not in worker.said()


def memory(pid: int, what: str) -> int:
    """A line of /proc/PID/status, in bytes."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def failures(fleet: Fleet) -> list[tuple[str, str, int]]:
    return fleet.query("SELECT reason, message, attempts FROM warren_failures")
