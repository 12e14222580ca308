"""Frames that kill an ordinary client at each redelivery: here they become defects."""

from __future__ import annotations

import struct

import pytest
from aiormq.abc import ChannelFrame

from engine.brokers.rabbitmq.broker import RabbitBroker
from engine.model.message import Publication
from tests.brokers.rabbitmq.conftest import Inbox, MakeQueue, States, to
from tests.support.amqp import channel


def short(raw: bytes) -> bytes:
    return bytes((len(raw),)) + raw


def table(fields: bytes) -> bytes:
    return struct.pack(">I", len(fields)) + fields


def deep(levels: int) -> bytes:
    fields = b""
    for _ in range(levels):
        fields = b"\x01aF" + table(fields)
    return fields


async def publish_raw(url: str, key: bytes, properties: bytes, body: bytes = b"{}", exchange: bytes = b"") -> None:
    """Publish with property flags and list as they are given, past any encoder."""

    def frame(kind: int, payload: bytes) -> bytes:
        return struct.pack(">BHI", kind, number, len(payload)) + payload + b"\xce"

    async with channel(url) as plain:
        under = await plain.get_underlay_channel()
        number = under.number
        method = b"\x00\x3c\x00\x28\x00\x00" + short(exchange) + short(key) + b"\x00"
        content = struct.pack(">HHQ", 60, 0, len(body)) + properties
        pieces = [body[at : at + 131_000] for at in range(0, len(body), 131_000)]
        payload = frame(1, method) + frame(2, content) + b"".join(frame(3, piece) for piece in pieces)
        await under.connection.write_queue.put(ChannelFrame(payload, should_close=False))
        await under.basic_qos(prefetch_count=1)  # answered once the frames before it were taken


POISON = {
    "timestamp": (b"\x00\x40" + struct.pack(">Q", 2**62), "past the year 9999"),
    "negative timestamp": (b"\x00\x40" + struct.pack(">q", -1), "past the year 9999"),
    "depth": (b"\x20\x00" + table(deep(3000)), "nested deeper"),
    "header name": (b"\x20\x00" + table(short(b"\xff\xfe") + b"V"), "not valid UTF-8"),
    "message id": (b"\x00\x80" + short(b"\xc3\x28"), "message id is not valid UTF-8"),
    "type": (b"\x00\x20" + short(b"\xff" * 255), "type is not valid UTF-8"),
}


@pytest.mark.parametrize("kind", POISON)
async def test_a_poison_frame_is_a_defect(
    broker: RabbitBroker, make_queue: MakeQueue, amqp_url: str, kind: str
) -> None:
    properties, defect = POISON[kind]
    queue, states, inbox = await make_queue(), States(broker), Inbox()
    subscription = await broker.consume(queue, prefetch=10, receive=inbox.receive)
    await publish_raw(amqp_url, queue.encode(), properties, b'{"a":1}')
    await broker.publish([to(queue, "after")])
    first, second = await inbox.until(2)
    assert first.defect is not None
    assert defect in first.defect
    assert first.message.body == b'{"a":1}'
    assert (second.message.message_id, second.defect) == ("after", None)
    # it can be handed on as a dead letter as it was read
    assert await broker.publish([Publication("", queue, first.message)]) == [None]
    await inbox.until(3)
    await subscription.ack(inbox.deliveries)
    await subscription.close()
    assert states.seen == []
    depth = (await broker.depths([queue]))[queue]
    assert depth is not None
    assert depth.ready == 0


async def test_a_poison_frame_is_got(broker: RabbitBroker, make_queue: MakeQueue, amqp_url: str) -> None:
    queue = await make_queue()
    await publish_raw(amqp_url, queue.encode(), POISON["depth"][0], b"x" * 300_000)
    await broker.publish([to(queue, "after")])
    got = await broker.get(queue)
    assert got is not None
    assert got.body == b"x" * 300_000
    after = await broker.get(queue)
    assert after is not None
    assert after.message_id == "after"
    assert await broker.get(queue) is None


async def test_a_poison_frame_is_returned(broker: RabbitBroker, make_queue: MakeQueue) -> None:
    """Bodies of several frames come back, too, and do not disturb the confirms behind them."""
    queue = await make_queue()
    results = await broker.publish([to("nowhere-at-all", "a", b"x" * 300_000), to(queue, "b")])
    assert [type(result).__name__ for result in results] == ["Unroutable", "NoneType"]


async def test_a_routing_key_that_is_no_utf8(
    broker: RabbitBroker, make_queue: MakeQueue, amqp_url: str, app: str
) -> None:
    queue, inbox = await make_queue(), Inbox()
    async with channel(amqp_url) as plain:
        under = await plain.get_underlay_channel()
        await under.queue_bind(queue, "amq.topic", f"{app}.#")
    await broker.consume(queue, prefetch=10, receive=inbox.receive)

    await publish_raw(amqp_url, app.encode() + b".\xff", b"\x00\x00", exchange=b"amq.topic")
    (delivery,) = await inbox.until(1)
    assert delivery.routing_key == f"{app}.\\xff"
    assert delivery.defect == "the routing key is not valid UTF-8"
