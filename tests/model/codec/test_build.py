"""From an envelope to an event: which model reads the payload, and how a refusal reads."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, StrictInt, field_validator

from engine.errors import DecodingError
from engine.model.codec import RAW, Envelope, build_event, payloads
from engine.model.event import Event, EventData

NOW = datetime(2026, 11, 23, 19, tzinfo=UTC)


class Line(BaseModel):
    sku: str
    count: StrictInt = Field(gt=0)


class OrderPlaced(EventData, type="order.placed"):
    order_id: str
    total: Decimal
    lines: list[Line] = []


class OrderPlaced3(EventData, type="order.placed", version=3):
    order_id: str
    amount: Decimal


class OrderPaid(EventData, type="order.paid"):
    order_id: str


def envelope(data: dict[str, Any], kind: str = "order.placed", version: int = 1) -> Envelope:
    return Envelope(kind, "e-1", None, "shop", None, None, version, "c", None, data, {"m": 1})


def build(found: Envelope, *models: type[EventData], open: bool = False) -> Event[Any]:
    return build_event(found, payloads(models, open=open), id="e-1", now=NOW)


def refused(found: Envelope, *models: type[EventData]) -> str:
    with pytest.raises(DecodingError) as caught:
        build(found, *models)
    return caught.value.message


def test_the_payload_becomes_an_instance_of_its_model() -> None:
    event = build(envelope({"order_id": "o", "total": "9.50", "more": 1}), OrderPlaced)
    assert event == Event(
        OrderPlaced(order_id="o", total=Decimal("9.50")),
        "order.placed", "e-1", NOW, "shop", None, None, 1, "c", "e-1", {"m": 1},
    )  # fmt: skip


def test_without_a_model_the_payload_is_a_dict() -> None:
    assert build_event(envelope({"a": 1}), None, id="x", now=NOW).data == {"a": 1}
    assert build_event(envelope({"a": 1}), RAW, id="x", now=NOW).data == {"a": 1}
    assert build(envelope({"a": 1}, "order.other"), OrderPlaced, open=True).data == {"a": 1}


def test_the_type_tells_the_model() -> None:
    assert isinstance(build(envelope({"order_id": "o"}, "order.paid"), OrderPlaced, OrderPaid).data, OrderPaid)
    assert "no model for events of type order.lost (it has: order.paid, order.placed)" in refused(
        envelope({}, "order.lost"), OrderPlaced, OrderPaid
    )


def test_the_version_tells_the_model_and_a_newer_one_is_refused() -> None:
    both = (OrderPlaced3, OrderPlaced)
    assert isinstance(build(envelope({"order_id": "o", "total": 1}, version=1), *both).data, OrderPlaced)
    assert isinstance(build(envelope({"order_id": "o", "amount": 1}, version=2), *both).data, OrderPlaced3)
    assert isinstance(build(envelope({"order_id": "o", "amount": 1}, version=3), *both).data, OrderPlaced3)
    assert refused(envelope({}, version=4), *both) == "order.placed has version 4; this program knows it up to 3"


def test_a_refusal_names_the_fields_and_no_values() -> None:
    data = {"order_id": 4111, "total": "4111x", "lines": [{"sku": "a", "count": 1}, {"sku": "b", "count": "4111"}]}
    reason = refused(envelope(data), OrderPlaced)
    assert "data.order_id: Input should be a valid string" in reason
    assert "data.total: " in reason
    assert "data.lines[1].count: Input should be a valid integer" in reason
    assert "4111" not in reason
    assert refused(envelope({}), OrderPlaced).endswith("data.order_id: Field required; data.total: Field required")


def test_a_refusal_of_many_fields_is_cut() -> None:
    lines = [{"sku": 1, "count": 1}] * 30
    assert refused(envelope({"order_id": "o", "total": 1, "lines": lines}), OrderPlaced).endswith("and 25 more")


def test_errors_whose_text_repeats_the_input_are_named_by_their_kind() -> None:
    class Telling(EventData, type="order.placed"):
        when: datetime
        card: str
        kind: Literal["a"]

        @field_validator("card")
        @classmethod
        def no_such_card(cls, value: str) -> str:
            raise ValueError(f"card {value} is stolen")

    reason = refused(envelope({"when": "x4111", "card": "4111", "kind": "4111"}), Telling)
    assert "data.when: datetime" in reason
    assert "data.card: value error" in reason
    assert "data.kind: Input should be 'a'" in reason
    assert "4111" not in reason


def test_a_validator_that_fails_by_itself_refuses_the_payload() -> None:
    class Broken(EventData, type="order.placed"):
        card: str

        @field_validator("card")
        @classmethod
        def look_up(cls, value: str) -> str:
            return {"": ""}[value]

    assert refused(envelope({"card": "4111"}), Broken).endswith("a validator of Broken raised KeyError")


def test_the_payload_is_read_as_json_so_that_strict_models_and_bytes_work() -> None:
    class Strict(EventData, type="order.placed", strict=True):
        when: datetime
        total: Decimal
        seal: bytes

    event = build(envelope({"when": "2026-11-23T19:00:00Z", "total": "1.10", "seal": "AP8="}), Strict)
    assert event.data == Strict(when=NOW, total=Decimal("1.10"), seal=b"\x00\xff")
