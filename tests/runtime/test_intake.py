"""From a delivery to a job: by which id or key its record goes."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.errors import DecodingError
from engine.model import headers as names
from engine.model.codec import LIMITS, payloads, to_message
from engine.model.event import Event, EventData, new_event
from engine.model.message import Delivery, HeaderValue, Message
from engine.model.record import State, decide, retry
from engine.runtime.intake import body_hash, take_in
from engine.runtime.keys import Identity, SerialKey, key_hash
from engine.runtime.resend import retry_row

NOW = datetime(2026, 11, 23, 19, tzinfo=UTC)


class Paid(EventData, type="test.paid"):
    order: str | None = None
    amounts: list[int] = []


def consumer(key: Any) -> Any:
    identity = None if key is None else Identity(key, payloads([Paid]))
    return cast("Any", SimpleNamespace(queue="q", identity=identity))


def delivery(message: Message) -> Delivery:
    return Delivery("q", message, 1, exchange="events", routing_key="test.paid")


def paid(order: str | None, id: str = "e-1", headers: dict[str, HeaderValue] | None = None) -> Delivery:
    message = to_message(new_event(Paid(order=order), id=id, now=NOW))
    message.headers.update(headers or {})  # type: ignore[attr-defined]
    return delivery(message)


def by_order(event: Event[Paid]) -> str:
    if event.data.order == "broken":
        raise RuntimeError("no order")
    return f"order-{event.data.order}"


def test_without_a_key_the_event_id_tells() -> None:
    arrived = paid("o-1")
    job = take_in(consumer(None), arrived, LIMITS)
    assert (job.claim.event_id, job.event_id, job.event) == ("e-1", "e-1", None)
    assert job.claim.body_hash == body_hash(arrived.message.body)


@pytest.mark.parametrize(("key", "value"), [("order", "o-1"), (by_order, "order-o-1"), (lambda event: 7, "7")])
def test_a_key_takes_the_place_of_id_and_body(key: Any, value: str) -> None:
    first, second = (take_in(consumer(key), paid("o-1", own), LIMITS) for own in ("e-1", "e-2"))
    assert first.claim == second.claim
    assert (first.claim.event_id, first.claim.body_hash) == (value, key_hash(value))
    assert (first.event_id, second.event_id) == ("e-1", "e-2")
    assert first.event is not None
    assert first.event.id == "e-1"


@pytest.mark.parametrize(
    ("order", "key", "reason"),
    [
        (None, "order", "the idempotency key is missing"),
        ("", "order", "the idempotency key is empty"),
        ("x" * 256, "order", "the idempotency key is over 255 bytes"),
        ("a\nb", "order", "the idempotency key holds control characters"),
        ("broken", by_order, "idempotency_key= raised RuntimeError: no order"),
    ],
)
def test_without_a_proper_key_a_message_is_unreadable(order: str | None, key: Any, reason: str) -> None:
    job = take_in(consumer(key), paid(order), LIMITS)
    assert job.defect is not None
    assert reason in job.defect.message
    assert (job.claim.event_id, job.own_id) == ("e-1", None)


def test_a_retry_carries_its_key_on_whatever_the_handler_says_then() -> None:
    first = take_in(consumer(by_order), paid("o-1"), LIMITS)
    decision = decide(None, first.claim, "w", cast("Any", None), 1.0)
    record = cast("Any", decision).record
    row = retry_row(first, retry(record, 2.0), 1.0, 2.0)
    assert row.message.message_id == "e-1"
    assert row.message.headers[names.KEY] == "order-o-1"
    for key in ("order", None):
        again = take_in(consumer(key), delivery(row.message), LIMITS)
        assert (again.claim.event_id, again.claim.run, again.event_id) == ("order-o-1", 2, "e-1")
        assert again.claim.body_hash == record.body_hash
        assert record.state is State.RUNNING


def test_a_first_copy_cannot_bring_a_key() -> None:
    job = take_in(consumer("order"), paid("o-1", headers={names.KEY: "forged"}), LIMITS)
    assert job.claim.event_id == "o-1"
    job = take_in(consumer(None), paid("o-1", headers={names.KEY: "a\nb", names.RUN: 3}), LIMITS)
    assert job.claim.event_id == "e-1"


def test_a_serial_key_is_anything_that_can_be_compared() -> None:
    event = new_event(Paid(order="o-1"), id="e-1", now=NOW)
    raw: Event[Any] = Event({"order": "o-2"}, "test.paid", "e-2", NOW)
    assert SerialKey("order")(event) == "o-1"
    assert SerialKey("order")(raw) == "o-2"
    assert SerialKey("other")(raw) is None
    with pytest.raises(DecodingError, match="the key is list, which cannot be compared"):
        SerialKey("amounts")(event)
    with pytest.raises(DecodingError, match="key= raised"):
        SerialKey(lambda event: event.nothing)(event)


def test_the_same_event_published_again_later_has_the_same_hash() -> None:
    first, later, other = (
        to_message(new_event(Paid(order=order), id="e-1", now=NOW.replace(hour=hour), source="shop")).body
        for order, hour in (("o-1", 1), ("o-1", 2), ("o-2", 1))
    )
    assert first != later
    assert body_hash(first) == body_hash(later)
    assert body_hash(first) != body_hash(other)
