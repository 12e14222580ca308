"""What of a message is found by its fields."""

from __future__ import annotations

import json
from typing import Any

from engine.model.leaves import LARGEST, LONGEST_TEXT, MOST, keys_of, leaf_key, leaf_keys
from engine.model.message import Message


def keys(value: Any, **changes: Any) -> set[int]:
    return set(leaf_keys(Message(json.dumps(value).encode(), **changes), "order.placed"))


def leaf(path: str, text: str) -> int:
    return leaf_key(path, text)


def test_scalars_of_the_payload_are_leaves() -> None:
    body = {"a": 1, "b": "x", "c": None, "d": True, "e": 1.5, "f": 2.0, "g": {"h": "y"}, "i": [1, {"j": "z"}], "k": []}
    assert keys(body) == {
        leaf("data.a", "1"),
        leaf("data.b", "x"),
        leaf("data.c", "null"),
        leaf("data.d", "true"),
        leaf("data.e", "1.5"),
        leaf("data.f", "2"),
        leaf("data.g.h", "y"),
        leaf("data.i", "1"),
        leaf("data.i.j", "z"),
    }


def test_the_form_on_the_wire_does_not_matter() -> None:
    data, metadata = {"order_id": "17"}, {"tenant": "t"}
    ours = {"eventType": "order.placed", "eventId": "e", "data": data, "metadata": metadata}
    cloud = {"specversion": "1.0", "type": "order.placed", "id": "e", "source": "s", "data": data}
    assert keys(ours) == {leaf("data.order_id", "17"), leaf("metadata.tenant", "t")}
    assert leaf("data.order_id", "17") in keys(cloud, content_type="application/cloudevents+json")
    assert keys(data) == {leaf("data.order_id", "17")}
    assert leaf_keys(Message(json.dumps(data).encode()), "") == [leaf("data.order_id", "17")]


def test_numbers_are_found_however_they_are_typed() -> None:
    assert leaf("data.total", "9.5") in keys_of("data.total", "9.50")
    assert leaf("data.total", "17") in keys_of("data.total", "17.0")
    assert leaf("data.total", "1000") in keys_of("data.total", "1e3")
    assert keys_of("data.total", "nan") == [leaf("data.total", "nan")]
    assert keys_of("data.id", "0017")[0] == leaf("data.id", "0017")


def test_their_number_and_length_are_bounded() -> None:
    assert len(keys({f"f{number}": number for number in range(10_000)})) == MOST
    assert len(keys({"list": list(range(10_000))})) == MOST
    deep: Any = "x"
    for _ in range(50):
        deep = {"a": deep}
    assert len(keys(deep)) == 1
    near = keys({"deep": {"x": {str(number): number for number in range(200)}}, "top": "t"})
    assert leaf("data.top", "t") in near
    assert keys({"a": "x" * 10_000}) == set(keys_of("data.a", "x" * LONGEST_TEXT))


def test_what_cannot_be_read_has_none() -> None:
    for body in (b"", b"\xff", b"[1]", b"{", b'{"a":1,"a":2}', b"[" * 100_000, b" " * (LARGEST + 1)):
        assert leaf_keys(Message(body), "x") == []


def test_a_key_fits_into_64_bits() -> None:
    assert all(-(2**63) <= leaf("data.x", str(number)) < 2**63 for number in range(100))
    assert leaf("data.a", "b\ud800") == leaf("data.a", "b?")
