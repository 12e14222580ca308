"""The DomainEvent JSON, its AMQP properties, and the way there and back."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from engine.errors import UsageError
from engine.model.codec import build_event, decode, encode, payloads, to_message
from engine.model.event import Event, EventData, new_event
from engine.model.message import Message

NOW = datetime(2026, 11, 23, 19, 0, 0, 120_000, tzinfo=UTC)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Line(BaseModel):
    sku: str = Field(alias="stockKeepingUnit")
    count: int


class Everything(EventData, type="every.thing", version=2, aggregate="thing", key="id"):
    id: UUID
    total: Decimal
    when: datetime
    day: date
    wait: timedelta
    colour: Colour
    seal: bytes
    ratio: float
    lines: tuple[Line, ...]
    named: dict[str, int | None]
    note: str | None = None


def test_the_body_has_the_same_fields_in_the_same_order() -> None:
    class OrderPlaced(EventData, type="order.placed", aggregate="order", key="order_id"):
        order_id: str
        total: Decimal

    event = new_event(OrderPlaced(order_id="o-1", total=Decimal("9.50")), id="e-1", now=NOW, source="shop")
    assert encode(event) == (
        b'{"eventType":"order.placed","eventId":"e-1","timestamp":"2026-11-23T19:00:00.120000Z","source":"shop",'
        b'"aggregateId":"o-1","aggregateType":"order","version":1,"causationId":null,"correlationId":"e-1",'
        b'"data":{"order_id":"o-1","total":"9.50"},"metadata":{}}'
    )
    assert to_message(event) == Message(
        encode(event),
        {},
        message_id="e-1",
        correlation_id="e-1",
        type="order.placed",
        app_id="shop",
        content_type="application/json",
        timestamp=1795460400,
    )


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)
times = st.datetimes(timezones=st.just(UTC))
everything = st.builds(
    Everything,
    id=st.uuids(),
    total=st.decimals(allow_nan=False, allow_infinity=False),
    when=times,
    day=st.dates(),
    wait=st.timedeltas(timedelta(days=-1000), timedelta(days=1000)),
    colour=st.sampled_from(Colour),
    seal=st.binary(max_size=20),
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    lines=st.lists(st.builds(Line, stockKeepingUnit=texts, count=st.integers(-(2**63), 2**63 - 1)), max_size=3),
    named=st.dictionaries(texts, st.none() | st.integers(0, 9), max_size=3),
    note=st.none() | texts,
)


@given(
    data=everything,
    id=ids,
    now=times,
    source=st.just("") | ids,
    correlation_id=st.none() | ids,
    causation_id=st.none() | ids,
    metadata=st.dictionaries(texts, st.integers(0, 9) | texts | st.lists(texts, max_size=2), max_size=3),
)
def test_an_event_comes_back_as_it_was(
    data: Everything,
    id: str,
    now: datetime,
    source: str,
    correlation_id: str | None,
    causation_id: str | None,
    metadata: dict[str, Any],
) -> None:
    event = new_event(
        data,
        id=id,
        now=now,
        source=source,
        correlation_id=correlation_id,
        causation_id=causation_id,
        metadata=metadata,
    )
    message = to_message(event)
    found = decode(message, "")
    assert found.id == message.message_id == id
    assert found.correlation_id == message.correlation_id
    again = build_event(found, payloads([Everything]), id=id, now=NOW)
    assert again == event
    assert encode(again) == encode(event)


def test_a_dict_comes_back_too() -> None:
    event = Event({"total": 1, "lines": [{"a": None}]}, "order.placed", "e-1", NOW, correlation_id="e-1")
    found = decode(to_message(event), "")
    assert build_event(found, None, id="e-1", now=NOW) == event


def test_a_time_before_the_epoch_has_the_property_zero() -> None:
    event = Event({}, "a", "e", datetime(1950, 1, 1, tzinfo=UTC))
    assert to_message(event).timestamp == 0
    assert json.loads(encode(event))["timestamp"] == "1950-01-01T00:00:00Z"


class Bag(EventData, type="bag.packed"):
    content: Any


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (2**63, "an integer beyond 64 bits at content"),
        (object(), "cannot be written as JSON"),
        ("\ud800", "cannot be written as JSON"),
        (json.loads("[" * 63 + "]" * 63), "nests deeper"),
    ],
)
def test_what_no_reader_would_take_back_is_refused_when_it_is_written(content: Any, reason: str) -> None:
    event = new_event(Bag(content=content), id="e-1", now=NOW)
    with pytest.raises(UsageError, match="bag.packed") as caught:
        encode(event)
    assert reason in str(caught.value)


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": 2**64}, {"a": object()}, ["a"]])
def test_a_dict_or_metadata_that_json_cannot_carry_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="the data of a.b"):
        encode(Event(value, "a.b", "e", NOW))
    if isinstance(value, dict):
        with pytest.raises(UsageError, match="the metadata of a.b"):
            encode(Event({}, "a.b", "e", NOW, metadata=value))


def test_what_nests_as_deep_as_a_reader_allows_is_written_and_read() -> None:
    event = new_event(Bag(content=json.loads("[" * 62 + "]" * 62)), id="e-1", now=NOW)
    assert decode(to_message(event), "").data == {"content": json.loads("[" * 62 + "]" * 62)}
