"""What cannot be read is dead on attempt 1 with its reason, and its neighbours are not disturbed."""

from __future__ import annotations

import pickle

from engine.model.message import Message
from engine.runtime.application import Engine
from tests.runtime.events import Step
from tests.support.workers import Fleet

PLUGIN = """
from engine import Event, EventData, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

@handler(Step)
async def read(event: Event[Step]) -> None:
    pass
"""

BODIES: dict[str, bytes] = {
    "empty": b"",
    "bom": b'\xef\xbb\xbf{"number": 1}',
    "utf-16": '{"number": 1}'.encode("utf-16"),
    "truncated": b'{"number": 1',
    "deep": b"[" * 100_000,
    "large": b"[" + b"[]," * 700_000 + b"[]]",
    "nan": b'{"number": NaN}',
    "infinity": b'{"number": -Infinity}',
    "too large": b'{"number": 1e999}',
    "just beyond 64 bits": b'{"number": 9223372036854775808}',
    "beyond 64 bits": b'{"number": 18446744073709551617}',
    "5000 digits": b'{"number": ' + b"9" * 5000 + b"}",
    "duplicate keys": b'{"number": 1, "number": 2}',
    "array": b"[1]",
    "null": b"null",
    "pickle": pickle.dumps({"number": 1}),
    "refused by the model": b'{"number": "many"}',
    "newer version": b'{"eventType": "test.step", "eventId": "newer", "version": 7, "data": {"number": 1}}',
    "half a character": b'{"number": 1, "note": "\\ud800"}',
    "nul in the id": b'{"eventType": "test.step", "eventId": "a\\u0000b", "data": {"number": 1}}',
}

PROPERTIES: dict[str, Message] = {
    "gzip": Message(b'{"number": 1}', message_id="gz", content_encoding="gzip"),
    "foreign content type": Message(b'{"number": 1}', message_id="ct", content_type="application/x-foreign"),
    "escape in the id": Message(b'{"number": 1}', message_id="a\x1b]52;c;x\x07"),
    "lines in the id": Message(b'{"number": 1}', message_id="a\r\nb"),
}

#: Odd, and yet to be handled.
ODD: dict[str, Message] = {
    "longest id": Message(b'{"number": 1}', message_id="\u00e9" * 127),
    "nul in the payload": Message(b'{"number": 1, "note": "a\\u0000b"}', message_id="nul"),
    "run that is no number": Message(b'{"number": 1}', {"warren-run": "abc"}, message_id="run-1"),
    "run below zero": Message(b'{"number": 1}', {"warren-run": -1}, message_id="run-2"),
    "death that is none": Message(b'{"number": 1}', {"x-death": "forged"}, message_id="death-1"),
    "death of many": Message(b'{"number": 1}', {"x-death": [{"count": 10**12, "queue": 7}]}, message_id="death-2"),
    "copies": Message(b'{"number": 1}', {"CC": ["elsewhere"]}, message_id="copies"),
}


async def test_unreadable_messages_are_dead_on_attempt_1_and_others_are_handled(fleet: Fleet) -> None:
    bad = {name: Message(body, message_id=name) for name, body in BODIES.items()} | PROPERTIES
    worker = await fleet.start(fleet.plugin(PLUGIN))
    async with Engine(fleet.settings()) as engine:
        messages: list[tuple[str, Message]] = []
        for number, message in enumerate(bad.values()):
            messages += [
                ("test.step", message),
                ("test.step", Message(b'{"number": %d}' % number, message_id=f"ok-{number}")),
            ]
        await engine.publish_messages(messages)
        await engine.publish(Step(number=1))
        await engine.publish_messages([("test.step", message) for message in ODD.values()])
    good = len(bad) + 1 + len(ODD)
    await fleet.until(lambda: handled(fleet) == good and len(failures(fleet)) == len(bad), "all to be handled or dead")
    assert {(reason, attempts) for _, reason, _, attempts in failures(fleet)} == {("unreadable", 1)}
    assert all(message for _, _, message, _ in failures(fleet))
    assert await worker.terminate() == 0
    assert "lost" not in worker.said(), "a bad message broke a connection"


async def test_the_same_id_with_another_body_is_dead_lettered_not_swallowed(fleet: Fleet) -> None:
    await fleet.start(fleet.plugin(PLUGIN))
    async with Engine(fleet.settings()) as engine:
        await engine.publish_messages([("test.step", Message(b'{"number": 1}', message_id="twice"))])
        await fleet.until(lambda: handled(fleet) == 1, "the first to be handled")
        await engine.publish_messages([("test.step", Message(b'{"number": 2}', message_id="twice"))])
    await fleet.until(lambda: len(failures(fleet)) == 1, "the second to be dead")
    assert failures(fleet)[0][:2] == ("twice", "conflict")
    assert handled(fleet) == 1


async def test_messages_without_an_id_are_handled_each(fleet: Fleet) -> None:
    await fleet.start(fleet.plugin(PLUGIN))
    async with Engine(fleet.settings()) as engine:
        await engine.publish_messages([("test.step", Message(b'{"number": 1}'))] * 3)
    await fleet.until(lambda: handled(fleet) == 3, "three messages to be handled")


def handled(fleet: Fleet) -> int:
    return int(fleet.query("SELECT count(*) FROM warren_records WHERE state = 'done'")[0][0])


def failures(fleet: Fleet) -> list[tuple[str, str, str, int]]:
    return fleet.query("SELECT event_id, reason, message, attempts FROM warren_failures")  # type: ignore[return-value]
