"""A message arrives as it was sent, to the byte and to the type."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from engine.brokers.base import Broker
from engine.model.message import HeaderValue, Message, Publication
from engine.testing.conformance.bed import Bed, Check, Make, expect_equal

_HEADERS: Final[dict[str, HeaderValue]] = {
    "text": "Grüße, 世界",
    "empty": "",
    "small": 7,
    "negative": -(2**40),
    "large": 2**63 - 1,
    "smallest": -(2**63),
    "float": 0.1,
    "whole float": 2.0,
    "yes": True,
    "no": False,
    "bytes": b"\x00\xff\xfe",
    "nothing": None,
    "list": [1, "two", 3.5, None, False, b"\x80", ["nested", []], {"in": "list"}],
    "table": {"a": {"b": {"c": [{"d": 1}]}}, "empty": {}},
    "k" * 128: "a long name",
}

_MESSAGES: Final[dict[str, Message]] = {
    "bare": Message(b"x"),
    "empty body": Message(b""),
    "every byte": Message(bytes(range(256)) * 3),
    "all properties": Message(
        b'{"a": 1}',
        headers=_HEADERS,
        message_id="m",
        correlation_id="c",
        type="order.placed",
        app_id="shop",
        content_type="application/json",
        content_encoding="utf-8",
        reply_to="amq.somewhere",
        timestamp=1_800_000_000,
    ),
    "long and foreign ids": Message(
        b"x", message_id="i" * 255, correlation_id="é" * 127, type="世" * 85, app_id="a" * 255
    ),
    "time zero": Message(b"x", timestamp=0),
    "empty properties": Message(b"x", message_id="", correlation_id="", type=""),
}


async def check_content_survives(make: Make) -> None:
    """Body, properties and headers come out as they went in, whether consumed or got."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        inbox, subscription = await bed.consume(queue)
        for round_, (what, message) in enumerate(_MESSAGES.items(), 1):
            await bed.publish([Publication("", queue, message)])
            delivery = (await inbox.until(round_))[-1]
            _expect_same(delivery.message, message, what)
            expect_equal(delivery.defect, None, f"The defect ({what})")
        await subscription.ack(inbox.deliveries)
        await subscription.close()
        for what, message in _MESSAGES.items():
            await bed.publish([Publication("", queue, message)])
            _expect_same(await bed.broker.get(queue), message, what)


async def check_deliveries_say_where_they_come_from(make: Make) -> None:
    """A delivery names its queue, and the exchange and key that it was published to."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        key = f"{bed.uid}.{'k' * (254 - len(bed.uid))}"
        await bed.bind(queue, f"{bed.uid}.#")
        inbox, subscription = await bed.consume(queue)
        await bed.publish([Publication(bed.topic, key, Message(b"1")), Publication("", queue, Message(b"2"))])
        found = [(d.queue, d.exchange, d.routing_key, d.redelivered) for d in await inbox.until(2)]
        expect_equal(
            found, [(queue, bed.topic, key, False), (queue, "", queue, False)], "Where the deliveries come from"
        )
        await subscription.ack(inbox.deliveries)


async def check_large_bodies(make: Make) -> None:
    """A body of 1 MiB and one beside it, both whole, in order."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        large = bytes(range(256)) * 4096
        await bed.publish([Publication("", queue, Message(body)) for body in (large, b"small", large[::-1])])
        inbox, subscription = await bed.consume(queue, prefetch=2)
        await subscription.ack(await inbox.until(2))
        await inbox.until(3)
        sizes = [len(delivery.message.body) for delivery in inbox.deliveries]
        expect_equal(sizes, [len(large), 5, len(large)], "The sizes of the bodies")
        intact = [delivery.message.body for delivery in inbox.deliveries] == [large, b"small", large[::-1]]
        expect_equal(intact, True, "That the bodies are equal")


async def check_publishing_leaves_the_message_alone(make: Make) -> None:
    """A message that was published can be published again: the adapter writes nothing into it."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        headers: dict[str, HeaderValue] = {"a": [1]}
        message = Message(b"x", headers=headers)
        second: Broker = await bed.connect()
        for broker in (bed.broker, second):
            expect_equal(await broker.publish([Publication("", queue, message)] * 2), [None, None], "The results")
        expect_equal(message, Message(b"x", headers={"a": [1]}), "The message after publishing")
        found = await bed.drain(queue)
        expect_equal(found, [message] * 4, "The messages in the queue")


def _expect_same(found: Message | None, sent: Message, what: str) -> None:
    if found is None:
        expect_equal(found, sent, what)
        return
    for field in fields(Message):
        got, wanted = getattr(found, field.name), getattr(sent, field.name)
        if field.name == "headers":
            # RabbitMQ adds some x-… of its own to what it delivers.
            got = {name: value for name, value in found.headers.items() if not name.startswith("x-")}
            expect_equal(
                {name: _typed(value) for name, value in got.items()},
                {name: _typed(value) for name, value in wanted.items()},
                f"The headers ({what})",
            )
            continue
        expect_equal(got, wanted, f"{field.name} ({what})")


def _typed(value: HeaderValue) -> object:
    """The value with its types, which `==` overlooks: 2.0 == 2 == True + 1."""
    match value:
        case list():
            return [_typed(item) for item in value]
        case dict():
            return {name: _typed(item) for name, item in value.items()}
        case _:
            return (type(value).__name__, value)


CHECKS: Final[tuple[Check, ...]] = (
    check_content_survives,
    check_deliveries_say_where_they_come_from,
    check_large_bodies,
    check_publishing_leaves_the_message_alone,
)
