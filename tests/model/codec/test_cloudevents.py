"""CloudEvents 1.0 over AMQP 0.9.1, structured and binary."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.errors import DecodingError
from engine.model.codec import Envelope, decode
from engine.model.message import Message

ATTRIBUTES: dict[str, Any] = {
    "specversion": "1.0",
    "type": "com.example.order.placed",
    "source": "/shop",
    "id": "A234-1234",
    "time": "2026-11-23T19:00:00Z",
    "subject": "o-1",
    "correlationid": "k-1",
    "causationid": "c-1",
    "aggregatetype": "order",
    "aggregateid": "o-1",
    "version": 2,
}
EXPECTED = Envelope(
    "com.example.order.placed",
    "A234-1234",
    datetime(2026, 11, 23, 19, tzinfo=UTC),
    "/shop",
    "order",
    "o-1",
    2,
    "c-1",
    "k-1",
    {"total": "9.50"},
    {"subject": "o-1"},
)
STRUCTURED = "application/cloudevents+json; charset=utf-8"


def structured(content_type: str | None = STRUCTURED, **change: Any) -> Message:
    value = {**ATTRIBUTES, "data": {"total": "9.50"}, **change}
    body = {name: item for name, item in value.items() if item is not ...}
    return Message(json.dumps(body).encode(), content_type=content_type)


@pytest.mark.parametrize("content_type", [STRUCTURED, "application/json", None])
def test_a_structured_event_is_known_by_its_content_type_or_its_attributes(content_type: str | None) -> None:
    assert decode(structured(content_type), "queue") == EXPECTED


def test_structured_data_may_be_base64() -> None:
    packed = base64.b64encode(b'{"total":"9.50"}').decode()
    assert decode(structured(data=..., data_base64=packed), "queue") == EXPECTED


def test_data_may_be_missing() -> None:
    assert decode(structured(data=...), "queue").data == {}


@pytest.mark.parametrize("prefix", ["cloudEvents:", "cloudEvents_"])
def test_a_binary_event_has_its_attributes_in_the_headers(prefix: str) -> None:
    headers = {prefix + name: value for name, value in ATTRIBUTES.items()} | {"traceparent": "00-1-2-03"}
    found = decode(Message(b'{"total":"9.50"}', headers, content_type="application/json"), "queue")
    assert found == EXPECTED


def test_binary_attributes_may_be_bytes_numbers_in_text_and_times() -> None:
    headers: dict[str, Any] = {f"cloudEvents:{name}": value for name, value in ATTRIBUTES.items()}
    headers["cloudEvents:id"] = b"A234-1234"
    headers["cloudEvents:version"] = "2"
    headers["cloudEvents:time"] = datetime(2026, 11, 23, 19, tzinfo=UTC)
    assert decode(Message(b'{"total":"9.50"}', headers), "queue") == EXPECTED
    assert decode(Message(b"", headers), "queue").data == {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": ...}, "a CloudEvent needs the attribute id"),
        ({"source": ...}, "a CloudEvent needs the attribute source"),
        ({"type": None}, "a CloudEvent needs the attribute type"),
        ({"specversion": ...}, "a CloudEvent needs the attribute specversion"),
        ({"specversion": "0.3"}, "specversion is not 1.0"),
        ({"specversion": 1.0}, "specversion is a number where a string belongs"),
        ({"id": "a\x00"}, "id holds control characters"),
        ({"time": "noon"}, "time is not a timestamp"),
        ({"datacontenttype": "text/xml"}, "the data of the CloudEvent is not JSON"),
        ({"data": "x"}, "data is a string where an object belongs"),
        ({"data_base64": "e30="}, "both data and data_base64"),
        ({"data": ..., "data_base64": "%%%"}, "data_base64 is not base64"),
        ({"data": ..., "data_base64": "é"}, "data_base64 is not base64"),
        ({"data": ..., "data_base64": "bm8="}, "the body is not JSON"),
        ({"data": ..., "data_base64": 5}, "data_base64 is a number where a string belongs"),
        ({"version": "two"}, "version is a string where a whole number belongs"),
    ],
)
def test_what_is_wrong_with_a_structured_event_is_said(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(DecodingError) as caught:
        decode(structured(**change), "queue")
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("headers", "properties", "body", "reason"),
    [
        ({"cloudEvents:id": "1"}, {}, b"{}", "needs the attribute specversion"),
        ({}, {"content_type": "text/xml"}, b"<a/>", "the data of the CloudEvent is not JSON"),
        ({}, {}, b"[]", "the body is an array where an object belongs"),
        ({"cloudEvents:source": b"\xff"}, {}, b"{}", "the header cloudEvents:source is not UTF-8"),
        ({"cloudEvents:type": ["a"]}, {}, b"{}", "type is an array where a string belongs"),
    ],
)
def test_what_is_wrong_with_a_binary_event_is_said(
    headers: dict[str, Any], properties: dict[str, Any], body: bytes, reason: str
) -> None:
    whole = {f"cloudEvents:{name}": value for name, value in ATTRIBUTES.items()}
    if "cloudEvents:id" in headers:
        whole = {}
    with pytest.raises(DecodingError) as caught:
        decode(Message(body, {**whole, **headers}, **properties), "queue")
    assert reason in caught.value.message
