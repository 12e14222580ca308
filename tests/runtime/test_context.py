"""What a handler may do with the message it handles."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from engine.errors import UsageError
from engine.model.codec import to_message
from engine.model.event import Event, EventData, new_event
from engine.runtime.context import Context, Detour

NOW = datetime(2026, 11, 23, 19, tzinfo=UTC)


class OrderPlaced(EventData, type="order.placed"):
    order_id: str


class Reserved(EventData, type="inventory.reserved", aggregate="order", key="order_id"):
    order_id: str
    tags: list[str] = []


def context(event: Event[OrderPlaced] | None = None) -> Context:
    ids = iter("abc")
    return Context(
        event or new_event(OrderPlaced(order_id="o-1"), id="e-1", now=NOW, correlation_id="k-1"),
        attempt=2,
        queue="shop.orders.reserve",
        handler="reserve",
        source="shop",
        new_id=lambda: next(ids),
        clock=lambda: NOW,
    )


def test_emitted_events_carry_the_correlation_on_and_name_their_cause() -> None:
    ctx = context()
    first = ctx.emit(Reserved(order_id="o-1"), metadata={"shelf": 3})
    second = ctx.emit(Reserved(order_id="o-2"))
    assert first == Event(
        Reserved(order_id="o-1"), "inventory.reserved", "a", NOW, "shop", "order", "o-1", 1, "e-1", "k-1", {"shelf": 3}
    )
    assert ctx.emitted == [first, second]
    assert ctx.messages == [to_message(first), to_message(second)]


def test_an_event_is_written_when_it_is_emitted() -> None:
    ctx = context()
    data = Reserved(order_id="o-1")
    ctx.emit(data)
    data.tags.append("late")
    assert b"late" not in ctx.messages[0].body
    with pytest.raises(UsageError, match="cannot be written as JSON"):
        ctx.emit(Reserved.model_construct(order_id="o-2", tags=["\ud800"]))
    assert len(ctx.emitted) == len(ctx.messages) == 1


def test_what_is_emitted_after_the_end_is_refused() -> None:
    ctx = context()
    ctx.close()
    with pytest.raises(UsageError, match="reserve has ended; Reserved was emitted too late"):
        ctx.emit(Reserved(order_id="o-1"))
    assert ctx.emitted == []


def test_only_events_are_emitted() -> None:
    with pytest.raises(UsageError, match="dict is not an EventData"):
        context().emit({"order_id": "o"})  # type: ignore[type-var]


def test_the_log_names_the_message(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        context().log.info("reserved %s", "o-1", extra={"shelf": 3})
    (record,) = caplog.records
    assert record.name == "warren.handler.reserve"
    assert record.getMessage() == "reserved o-1"
    said = {name: record.__dict__[name] for name in ("event_id", "correlation_id", "queue", "attempt", "shelf")}
    assert said == {
        "event_id": "e-1",
        "correlation_id": "k-1",
        "queue": "shop.orders.reserve",
        "attempt": 2,
        "shelf": 3,
    }


def test_what_is_delayed_or_sent_takes_a_detour() -> None:
    ctx = context()
    ctx.emit(Reserved(order_id="o-1"))
    ctx.delay(Reserved(order_id="o-2"), 90)
    ctx.send(Reserved(order_id="o-3"), queue="stock.reserve", delay=5)
    at = NOW.timestamp()
    assert ctx.detours == {1: Detour(None, at + 90), 2: Detour("stock.reserve", at + 5)}
    assert [event.data.order_id for event in ctx.emitted] == ["o-1", "o-2", "o-3"]
    assert [event.causation_id for event in ctx.emitted] == ["e-1"] * 3


def test_what_cannot_be_delayed_or_sent_is_refused_and_leaves_nothing() -> None:
    ctx = context()
    for delay in (-1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="A delay of"):
            ctx.emit(Reserved(order_id="o-1"), delay=delay)
    for queue in ("", "amq.gen", "x" * 256):
        with pytest.raises(UsageError, match="reserve sends to no queue"):
            ctx.send(Reserved(order_id="o-1"), queue=queue)
    assert (ctx.emitted, ctx.messages, ctx.detours) == ([], [], None)


def test_another_event_can_be_named_as_the_cause() -> None:
    other = new_event(OrderPlaced(order_id="o-7"), id="e-7", now=NOW, correlation_id="k-7")
    event = context().emit(Reserved(order_id="o-7"), cause=other)
    assert (event.causation_id, event.correlation_id) == ("e-7", "k-7")


def test_only_what_is_declared_is_emitted() -> None:
    ctx = Context(new_event(OrderPlaced(order_id="o"), id="e", now=NOW), handler="reserve", emits=(Reserved,))
    ctx.emit(Reserved(order_id="o"))
    with pytest.raises(UsageError, match=r"reserve emits OrderPlaced, but declares emits=\[Reserved\]"):
        ctx.emit(OrderPlaced(order_id="o"))
    ctx.send(OrderPlaced(order_id="o"), queue="q")  # a command is no event
    assert len(ctx.emitted) == 2
