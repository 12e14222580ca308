"""Event classes, events, and how one is made of the other."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, TypeVar

import pytest
from pydantic import ValidationError

from engine.errors import PluginError, UsageError
from engine.model.event import Event, EventData, new_event

NOW = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)


class OrderPlaced(EventData, type="order.placed", version=2, aggregate="order", key="order_id"):
    order_id: str
    total: Decimal = Decimal(0)


def test_the_metadata_of_a_class_stand_beside_its_fields() -> None:
    class Awkward(EventData, type="awkward.happened"):
        type: str
        version: str
        aggregate: str
        key: str

    data = Awkward(type="a", version="b", aggregate="c", key="d")
    assert data.model_dump() == {"type": "a", "version": "b", "aggregate": "c", "key": "d"}
    assert (Awkward.__warren_type__, Awkward.__warren_version__) == ("awkward.happened", 1)
    assert set(OrderPlaced.model_fields) == {"order_id", "total"}


def test_aggregate_and_key_are_inherited_and_the_type_is_not() -> None:
    class OrderEvent(EventData, aggregate="order", key="order_id"):
        order_id: int

    class Shipped(OrderEvent, type="order.shipped"): ...

    class Draft(Shipped): ...

    event = new_event(Shipped(order_id=7), id="e1", now=NOW)
    assert (event.aggregate_type, event.aggregate_id) == ("order", "7")
    with pytest.raises(UsageError, match="Draft has no event type"):
        new_event(Draft(order_id=7), id="e1", now=NOW)


def test_a_generic_class_keeps_its_type_with_its_arguments() -> None:
    item = TypeVar("item")

    class Changed(EventData, Generic[item], type="thing.changed", version=3, key="to"):
        to: item

    event = new_event(Changed[int](to=5), id="e1", now=NOW)
    assert (event.type, event.version, event.aggregate_id) == ("thing.changed", 3, "5")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"tpye": "a.b"}, "unknown keyword 'tpye'\nDid you mean 'type'"),
        ({"type": ""}, "type is empty"),
        ({"type": 5}, "not a string"),
        ({"type": "order..placed"}, "empty word"),
        ({"type": "order.*"}, "wildcard"),
        ({"type": "order placed"}, "space"),
        ({"type": "order\x00"}, "control characters"),
        ({"type": "a" * 256}, "over 255 bytes"),
        ({"type": "é" * 128}, "over 255 bytes"),
        ({"type": "a", "version": 0}, "version=0"),
        ({"type": "a", "version": "1"}, "version='1'"),
        ({"type": "a", "version": True}, "version=True"),
        ({"type": "a", "aggregate": ""}, "aggregate=''"),
        ({"type": "a", "key": "oder_id"}, "not one of its fields\nDid you mean 'order_id'"),
    ],
)
def test_a_class_that_cannot_be_is_refused(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(PluginError, match="class Wrong") as caught:
        type(EventData)(
            "Wrong", (EventData,), {"__annotations__": {"order_id": str}, "__module__": __name__}, **keywords
        )
    assert message in str(caught.value)


def test_configuration_of_pydantic_is_taken_as_a_keyword() -> None:
    class Strict(EventData, type="strict.seen", extra="forbid"):
        name: str

    with pytest.raises(ValidationError):
        Strict.model_validate({"name": "a", "more": 1})


def test_payloads_are_frozen_ignore_what_they_do_not_know_and_refuse_nan() -> None:
    data = OrderPlaced.model_validate({"order_id": "o-1", "colour": "red"})
    with pytest.raises(ValidationError, match="frozen"):
        data.order_id = "o-2"

    class Measured(EventData, type="x"):
        value: float

    with pytest.raises(ValidationError, match="finite"):
        Measured(value=float("nan"))


def test_an_event_is_read_only_and_compared_by_value() -> None:
    data = OrderPlaced(order_id="o-1")
    event = new_event(data, id="e1", now=NOW, source="shop", causation_id="c1", metadata={"streamVersion": 4})
    assert event == Event(data, "order.placed", "e1", NOW, "shop", "order", "o-1", 2, "c1", "e1", {"streamVersion": 4})
    assert event != dataclasses.replace(event, timestamp=NOW + timedelta(seconds=1))
    assert len({event, dataclasses.replace(event)}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.id = "e2"  # type: ignore[misc]


def test_the_correlation_id_is_carried_on_and_else_begins_with_the_event() -> None:
    data = OrderPlaced(order_id="o-1")
    assert new_event(data, id="e1", now=NOW).correlation_id == "e1"
    assert new_event(data, id="e1", now=NOW, correlation_id="c").correlation_id == "c"


def test_what_is_no_event_and_ids_that_no_message_can_carry_are_refused() -> None:
    with pytest.raises(UsageError, match="dict is not an EventData"):
        new_event({}, id="e1", now=NOW)  # type: ignore[type-var]
    with pytest.raises(UsageError, match="the id of order.placed is empty"):
        new_event(OrderPlaced(order_id="o"), id="", now=NOW)
    with pytest.raises(UsageError, match="the aggregate id of order.placed holds control characters"):
        new_event(OrderPlaced(order_id="a\x1b[2J"), id="e1", now=NOW)
    with pytest.raises(UsageError, match="the correlation id of order.placed is over 255 bytes"):
        new_event(OrderPlaced(order_id="a"), id="e1", now=NOW, correlation_id="c" * 256)
