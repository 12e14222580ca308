"""Events published by hand are checked as their consumers will check them."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from engine.brokers.base import Broker
from engine.errors import ConfigurationError, PluginError
from engine.model.codec import decode
from engine.model.event import EventData
from engine.model.topology import Route, delay_topology, handler_topology
from engine.operations.operator import Operator
from engine.operations.publishing import Draft, compose, known_payloads, publish, read_payload, suggestion

QUEUE = "shop.orders.charge"


class OrderPlaced(EventData, type="order.placed", version=2, aggregate="order", key="order_id"):
    order_id: str
    total: Decimal


ANNA = Operator("anna@test")
KNOWN = known_payloads([OrderPlaced])
GOOD = {"order_id": "42", "total": "9.90", "note": "kept"}


def draft(**changes: object) -> Draft:
    return Draft(**{"type": "order.placed", "data": GOOD, "source": "shop", **changes})  # type: ignore[arg-type]


def test_a_known_type_gets_version_and_aggregate_of_its_model_and_keeps_its_data() -> None:
    event = compose(draft(), KNOWN)
    assert (event.version, event.aggregate_type, event.aggregate_id) == (2, "order", "42")
    assert event.data == GOOD
    assert event.correlation_id == event.id


def test_what_was_said_wins() -> None:
    event = compose(draft(id="e-1", correlation_id="c-1", aggregate="basket/b/7", version=1), KNOWN)
    assert (event.id, event.correlation_id, event.version) == ("e-1", "c-1", 1)
    assert (event.aggregate_type, event.aggregate_id) == ("basket", "b/7")


def test_a_payload_that_its_model_refuses_is_not_published() -> None:
    with pytest.raises(ConfigurationError, match=r"data\.total") as refused:
        compose(draft(data={"order_id": "42", "total": "secret-value"}), KNOWN)
    assert "secret-value" not in refused.value.message


def test_a_type_that_nobody_knows_is_not_checked() -> None:
    assert compose(draft(type="order.lost", data={"x": 1}), KNOWN).version == 1


@pytest.mark.parametrize(
    "changes", [{"id": "a\x00b"}, {"correlation_id": ""}, {"aggregate": "order"}, {"aggregate": "/1"}]
)
def test_names_that_cannot_be_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        compose(draft(**changes), KNOWN)


def test_a_type_that_is_no_routing_key_is_refused() -> None:
    with pytest.raises(PluginError, match="wildcard"):
        compose(draft(type="order.*"), KNOWN)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"a": 1,}', "character 8"),
        (b"[1]", "an array"),
        (b"", "empty"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a":1,"a":2}', "a"),
    ],
)
def test_a_payload_that_is_no_json_object_says_what_is_wrong(body: bytes, says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_payload(body)
    assert says in refused.value.message


async def test_events_arrive_each_with_an_id_of_its_own(broker: Broker) -> None:
    await broker.declare(handler_topology("shop", [Route(QUEUE, "events", ["order.*"])]))
    steps: list[int] = []
    sent = await publish(
        broker,
        "shop",
        "events",
        compose(draft(), KNOWN),
        operator=ANNA,
        now=time.time(),
        count=700,
        advance=steps.append,
    )

    assert (sent.confirmed, sent.unrouted, steps) == (700, 0, [500, 200])
    depth = (await broker.depths([QUEUE]))[QUEUE]
    assert depth is not None
    assert depth.ready == 700
    first, second = await broker.get(QUEUE), await broker.get(QUEUE)
    assert first is not None
    assert second is not None
    envelopes = [decode(message, "order.placed") for message in (first, second)]
    assert envelopes[0].id != envelopes[1].id
    assert envelopes[0].correlation_id == envelopes[0].id
    assert envelopes[0].data == GOOD


async def test_an_event_that_nobody_takes_is_counted_and_no_error(broker: Broker) -> None:
    sent = await publish(broker, "shop", "events", compose(draft(), KNOWN), operator=ANNA, now=time.time())
    assert (sent.confirmed, sent.unrouted) == (1, 1)


async def test_a_delayed_event_waits_on_a_rung(broker: Broker) -> None:
    await publish(broker, "shop", "events", compose(draft(), KNOWN), operator=ANNA, now=time.time(), delay=300)
    names = [queue.name for queue in delay_topology("shop").queues]
    waiting = {name: depth.ready for name, depth in (await broker.depths(names)).items() if depth and depth.ready}
    assert waiting == {"shop.delay.4m": 1}


def test_the_nearest_type_is_suggested() -> None:
    assert suggestion("order.plcaed", ["order.placed", "order.paid"]) == "Did you mean 'order.placed'?"
    assert "worker" in suggestion("order.placed", ["order.*"])
    assert suggestion("zzz", ["order.placed"]) == "Taken are: order.placed."
    assert suggestion("zzz", []) == ""
