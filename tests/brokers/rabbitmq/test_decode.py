"""Content headers: what is written is read back, and nothing makes reading raise."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.brokers.rabbitmq.content import DeliverySink
from engine.brokers.rabbitmq.decode import MAX_TIMESTAMP, read_properties, summary
from engine.brokers.rabbitmq.encode import publication_frames, table
from engine.errors import PublishRefused
from engine.model.message import Delivery, HeaderValue, Message, Publication

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"])),
        st.binary(),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
texts = st.none() | names
messages = st.builds(
    Message,
    st.binary(max_size=300),
    st.dictionaries(names, values, max_size=6),
    texts,
    texts,
    texts,
    texts,
    texts,
    texts,
    texts,
    st.none() | st.integers(0, MAX_TIMESTAMP),
)


def read(properties: bytes) -> tuple[Message, str | None]:
    defects: list[str] = []
    return read_properties(properties, 0, len(properties), defects), summary(defects)


def with_headers(encoded: bytes) -> bytes:
    """Properties that hold only this header table (with its length)."""
    return b"\x20\x00" + encoded


def short(raw: bytes) -> bytes:
    return bytes((len(raw),)) + raw


@given(messages)
def test_written_and_read_back(message: Message) -> None:
    parts: list[bytes] = []
    publication_frames(Publication("x", "k", message), 1, 131072, parts)
    got: list[Delivery] = []
    sink = DeliverySink("q", 1, got.append, lambda _: None)
    deliver = b"\x00\x3c\x00\x3c" + short(b"tag") + struct.pack(">QB", 7, 1) + short(b"ex") + short(b"key")
    assert sink.frame(1, deliver, 0, len(deliver)) is None
    data, at = b"".join(parts), 0
    while at < len(data):
        kind, _, size = struct.unpack_from(">BHI", data, at)
        if kind != 1:
            sink.frame(kind, data, at + 7, at + 7 + size)
        at += size + 8
    assert got == [Delivery("q", message, 7, 1, "ex", "key", True, None)]


@given(st.binary(max_size=400))
def test_no_bytes_make_reading_raise(data: bytes) -> None:
    read(data)
    read(with_headers(struct.pack(">I", len(data)) + data))


@given(messages, st.data())
def test_no_damage_makes_reading_raise(message: Message, data: st.DataObject) -> None:
    parts: list[bytes] = []
    publication_frames(Publication("x", "k", message), 1, 131072, parts)
    properties = bytearray(parts[0])
    for _ in range(data.draw(st.integers(1, 4))):
        properties[data.draw(st.integers(0, len(properties) - 1))] = data.draw(st.integers(0, 255))
    found, _ = read(bytes(properties))
    # what was read can be published again, as a dead letter
    publication_frames(Publication("x", "k", found), 1, 2**24, [])


def test_timestamps() -> None:
    assert read(b"\x00\x40" + struct.pack(">Q", 1_700_000_000)) == (Message(b"", timestamp=1_700_000_000), None)
    assert read(b"\x00\x40" + struct.pack(">Q", 1_700_000_000_123))[0].timestamp == 1_700_000_000
    message, defect = read(b"\x00\x40" + struct.pack(">Q", 2**62))
    assert message.timestamp is None
    assert defect == "the timestamp 4611686018427387904 is past the year 9999"


def test_depth_beyond_measure() -> None:
    deep = b""
    for _ in range(3000):
        deep = b"\x01aF" + struct.pack(">I", len(deep)) + deep
    outer = b"\x04kindS\x00\x00\x00\x02ok" + deep
    message, defect = read(with_headers(struct.pack(">I", len(outer)) + outer))
    assert message.headers["kind"] == "ok"
    assert "a" in message.headers
    assert defect == "headers are nested deeper than 64 levels; what is below is left out"


def test_invalid_utf8() -> None:
    message, defect = read(b"\x00\x80" + short(b"id-\xff"))
    assert message.message_id == "id-\\xff"
    assert defect == "the message id is not valid UTF-8"
    long_id, _ = read(b"\x00\x80" + short(b"\xff" * 255))
    assert len((long_id.message_id or "").encode()) <= 255
    header = short(b"\xfe") + b"S\x00\x00\x00\x01a" + short(b"b") + b"S\x00\x00\x00\x01\xff"
    message, defect = read(with_headers(struct.pack(">I", len(header)) + header))
    assert message.headers == {"\\xfe": "a", "b": b"\xff"}
    assert defect is not None


def test_an_unknown_type_loses_only_what_follows() -> None:
    header = short(b"a") + b"I\x00\x00\x00\x05" + short(b"b") + b"?" + short(b"c") + b"V"
    message, defect = read(with_headers(struct.pack(">I", len(header)) + header))
    assert message.headers == {"a": 5}
    assert defect == "a header has the unknown type 0x3f; what follows it is lost"


def test_foreign_types_come_as_values_that_can_be_published() -> None:
    fields = {"when": datetime(2026, 1, 1, tzinfo=UTC), "price": Decimal("12.50"), "raw": bytearray(b"\x00")}
    message, defect = read(with_headers(table(fields)))
    assert defect is None
    assert message.headers == {"when": 1767225600, "price": 12.5, "raw": b"\x00"}


def deep(levels: int) -> HeaderValue:
    value: HeaderValue = "bottom"
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (Message(b"", {"a": float("nan")}), "header a is nan"),
        (Message(b"", {"a": [{"b": float("inf")}]}), "header a.b is inf"),
        (Message(b"", {"a": 2**63}), "header a is an integer beyond 64 bits"),
        (Message(b"", {"k" * 300: 1}), "has 300 bytes, AMQP takes 255"),
        (Message(b"", {"a": "x" * 140_000}), "bytes of headers"),
        (Message(b"", {"a": deep(3000)}), "nested deeper"),
        (Message(b"", {"a": "\ud800"}), "UTF-8"),
        (Message(b"", {"a": object()}), "is a object"),  # type: ignore[dict-item]
        (Message(b"", message_id="ü" * 200), "message id has 400 bytes"),
        (Message(b"", message_id="\ud800"), "message id holds characters"),
        (Message(b"", timestamp=-1), "timestamp -1"),
        (Message(b"", timestamp=2**64), "timestamp"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_reason(message: Message, says: str) -> None:
    frames: list[bytes] = []
    with pytest.raises(PublishRefused) as caught:
        publication_frames(Publication("x", "k", message), 1, 131072, frames)
    assert says in caught.value.message
    assert frames == []
