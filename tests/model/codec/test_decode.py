"""The forms in which a message may bring an event."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DecodingError
from engine.model.codec import Envelope, Limits, decode
from engine.model.message import Message

WHOLE: dict[str, Any] = {
    "eventType": "order.placed",
    "eventId": "e-1",
    "timestamp": "2026-11-23T20:00:00.5+01:00",
    "source": "shop",
    "aggregateId": "o-1",
    "aggregateType": "order",
    "version": 3,
    "causationId": "c-1",
    "correlationId": "k-1",
    "data": {"total": "9.50"},
    "metadata": {"streamVersion": 7},
}


def message(value: Any, **properties: Any) -> Message:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Message(body, **properties)


def refused(value: Any, routing_key: str = "order.placed", **properties: Any) -> str:
    with pytest.raises(DecodingError) as caught:
        decode(message(value, **properties), routing_key)
    return caught.value.message


def test_a_domain_event_says_all_in_its_body() -> None:
    found = decode(message(WHOLE, message_id="other", correlation_id="other", type="other", app_id="other"), "other")
    assert found == Envelope(
        type="order.placed",
        id="e-1",
        timestamp=datetime(2026, 11, 23, 19, 0, 0, 500_000, tzinfo=UTC),
        source="shop",
        aggregate_type="order",
        aggregate_id="o-1",
        version=3,
        causation_id="c-1",
        correlation_id="k-1",
        data={"total": "9.50"},
        metadata={"streamVersion": 7},
    )


def test_what_a_domain_event_leaves_out_comes_from_the_properties() -> None:
    found = decode(
        message({"eventType": "a.b"}, message_id="m", correlation_id="k", app_id="node", timestamp=1_000_000_000), "x"
    )
    assert found == Envelope(
        "a.b", "m", datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC), "node", None, None, 1, None, "k", {}, {}
    )


def test_a_domain_event_may_have_no_id_at_all() -> None:
    found = decode(message({"eventType": "a.b", "eventId": None}), "x")
    assert (found.id, found.correlation_id, found.timestamp, found.source) == (None, None, None, "")


def test_plain_json_is_the_payload_itself() -> None:
    found = decode(message({"data": 1}, message_id="m", correlation_id="k", content_type="text/plain"), "order.placed")
    assert found == Envelope("order.placed", "m", None, "", None, None, 1, None, "k", {"data": 1}, {})
    assert decode(message({}, type="order.paid"), "order.placed").type == "order.paid"
    assert "no event type" in refused({}, routing_key="")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T19:00:00Z", datetime(2026, 11, 23, 19, tzinfo=UTC)),
        ("2026-11-23T19:00:00", datetime(2026, 11, 23, 19, tzinfo=UTC)),
        ("2026-11-23 19:00:00.123456+00:00", datetime(2026, 11, 23, 19, 0, 0, 123456, tzinfo=UTC)),
        ("2026-11-23T19:00:00-05:30", datetime(2026, 11, 24, 0, 30, tzinfo=UTC)),
    ],
)
def test_timestamps_are_taken_as_utc(text: str, expected: datetime) -> None:
    found = decode(message({"eventType": "a", "timestamp": text}), "a").timestamp
    assert found == expected
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize("seconds", [2**62, -(2**62)])
def test_a_timestamp_property_that_no_calendar_knows_counts_as_missing(seconds: int) -> None:
    assert decode(message({}, timestamp=seconds), "a").timestamp is None


def test_a_timestamp_property_before_the_epoch_is_a_time() -> None:
    assert decode(message({}, timestamp=-1), "a").timestamp == datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"eventType": None}, "eventType is missing"),
        ({"eventType": 5}, "eventType is a number where a string belongs"),
        ({"eventType": ""}, "eventType is empty"),
        ({"eventType": "a\u0000"}, "eventType holds control characters"),
        ({"eventId": "a\r\nb"}, "eventId holds control characters"),
        ({"eventId": "\u009b2J"}, "eventId holds control characters"),
        ({"eventId": ""}, "eventId is empty"),
        ({"eventId": "é" * 128}, "eventId is over 255 bytes"),
        ({"eventId": {"a": 1}}, "eventId is an object where a string belongs"),
        ({"aggregateId": 42}, "aggregateId is a number where a string belongs"),
        ({"correlationId": True}, "correlationId is a boolean where a string belongs"),
        ({"timestamp": "yesterday"}, "timestamp is not a timestamp of ISO 8601"),
        ({"timestamp": "2026-11-23"}, "timestamp is not a timestamp of ISO 8601"),
        ({"timestamp": 1700000000}, "timestamp is a number where a timestamp belongs"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp lies outside the years 1 to 9999"),
        ({"version": "1"}, "version is a string where a whole number belongs"),
        ({"version": True}, "version is a boolean where a whole number belongs"),
        ({"version": 0}, "version is not between 1"),
        ({"version": 2**40}, "version is not between 1"),
        ({"data": []}, "data is an array where an object belongs"),
        ({"metadata": "x"}, "metadata is a string where an object belongs"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(change: dict[str, Any], reason: str) -> None:
    assert reason in refused({**WHOLE, **change})


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"[]", "an array"), (b"null", "null"), (b'"a"', "a string"), (b"1", "a number"), (b"true", "a boolean")],
)
def test_only_objects_are_events(body: bytes, reason: str) -> None:
    assert refused(body) == f"the body is {reason} where an object belongs"


@pytest.mark.parametrize("content_type", [None, "", "application/json", "Application/JSON; charset=UTF-8", "text/json",
                                          "application/vnd.shop+json", "application/octet-stream"])  # fmt: skip
@pytest.mark.parametrize("encoding", [None, "", "utf-8", "UTF-8", "identity"])
def test_json_in_utf8_is_read_however_it_is_announced(content_type: str | None, encoding: str | None) -> None:
    assert decode(message({"a": 1}, content_type=content_type, content_encoding=encoding), "a").data == {"a": 1}


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"content_type": "application/x-python-serialize"}, "content type application/x-python-serialize"),
        ({"content_type": "text/xml\x1b[2J"}, "content type text/xml?[2j is not understood"),
        ({"content_type": "application/json; charset=utf-16"}, "charset utf-16"),
        ({"content_encoding": "gzip"}, "content encoding gzip"),
        ({"content_type": "application/cloudevents-batch+json"}, "a batch of CloudEvents"),
        ({"message_id": "a\x00"}, "the message_id property holds control characters"),
        ({"message_id": "a" * 256}, "the message_id property is over 255 bytes"),
        ({"correlation_id": "a\x1bb"}, "the correlation_id property holds control characters"),
        ({"type": "a\nb"}, "the type property holds control characters"),
        ({"app_id": "a\nb"}, "the app_id property holds control characters"),
    ],
)
def test_properties_that_cannot_be_are_named(properties: dict[str, Any], reason: str) -> None:
    assert reason in refused({}, **properties)


def test_ids_of_255_bytes_are_fine() -> None:
    assert decode(message({}, message_id="é" * 127 + "a"), "a").id == "é" * 127 + "a"


def test_the_limits_hold() -> None:
    with pytest.raises(DecodingError, match="the limit is 3"):
        decode(Message(b'{"a":1}'), "a", Limits(size=3))


names = st.none() | st.text(max_size=12) | st.integers() | st.lists(st.none(), max_size=1)


@given(
    body=st.binary(max_size=60)
    | st.dictionaries(
        st.sampled_from([*WHOLE, "specversion", "id", "type", "source", "data_base64", "datacontenttype", "x"]), names
    ).map(lambda value: json.dumps(value).encode()),
    headers=st.dictionaries(
        st.sampled_from(["cloudEvents:id", "cloudEvents_type", "cloudEvents:specversion", "cloudEvents:time", "x"]),
        names | st.binary(max_size=5) | st.datetimes(),
        max_size=4,
    ),
    text=st.fixed_dictionaries(
        {name: st.none() | st.text(max_size=12) for name in ("message_id", "correlation_id", "type", "app_id")}
    ),
    content_type=st.none() | st.sampled_from(["application/json", "application/cloudevents+json", "a;b=c;;="]),
    timestamp=st.none() | st.integers(-(2**63), 2**63),
    key=st.text(max_size=5),
)
@settings(max_examples=500)
def test_nothing_but_decoding_errors_is_raised(
    body: bytes,
    headers: dict[str, Any],
    text: dict[str, str | None],
    content_type: str | None,
    timestamp: int | None,
    key: str,
) -> None:
    try:
        found = decode(Message(body, headers, content_type=content_type, timestamp=timestamp, **text), key)
    except DecodingError:
        return
    assert found.type
    assert isinstance(found.data, dict)
    assert found.timestamp is None or found.timestamp.tzinfo is UTC
