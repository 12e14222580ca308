"""Keys and partitions: values that other processes, and other versions, must come to as well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from uuid import UUID

import pytest

from engine.errors import DecodingError
from engine.model.message import Delivery, Message
from engine.model.partition import (
    is_partition,
    key_text,
    partition_names,
    partition_of,
    partitioned,
    share,
    unwrap,
    wrap,
)


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Point:
    x: int


class Nameless:
    pass


def test_the_hash_is_pinned() -> None:
    """A message in a partition stays where it is: should this change, two orders are mixed."""
    assert [partition_of(text, 8) for text in ("o-1", "o-2", "42", "", "ключ")] == PINNED
    assert {partition_of(f"o-{number}", 4) for number in range(100)} == {0, 1, 2, 3}
    assert partition_of("o-1", 1) == 0


PINNED = [2, 3, 0, 3, 4]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("o-1", "o-1"),
        (42, "42"),
        (True, "1"),
        (42.0, "42"),
        (Decimal("42.00"), "42"),
        (0.5, "0.5"),
        (Decimal("0.50"), "0.5"),
        (-3, "-3"),
        (Colour.RED, "red"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (("a", 1, None), "(1:a,1:1,-)"),
        (frozenset({"b", "a"}), "{1:a,1:b}"),
        (b"\x00\xff", "00ff"),
        (Point(1), "Point(x=1)"),
        (datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "2026-01-01T00:00:00+00:00"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00+00:00"),
        (None, None),
    ],
)
def test_equal_keys_have_one_text(key: object, text: str | None) -> None:
    assert key_text(key) == text


def test_texts_that_no_database_takes_are_replaced() -> None:
    odd = ["x" * 5000, "x" * 5001, "a\0b", "a\ud800b"]
    found = [key_text(one) for one in odd]
    assert len(set(found)) == len(odd)
    for text in found:
        assert text is not None
        assert len(text.encode()) < 300
        assert "\0" not in text


@pytest.mark.parametrize("key", [Nameless(), Decimal("sNaN")])
def test_keys_without_a_text_of_their_own(key: object) -> None:
    with pytest.raises(DecodingError):
        key_text(key)


def test_names() -> None:
    assert partition_names("shop.q", 2) == ("shop.q.p0-of-2", "shop.q.p1-of-2")
    assert partition_names("shop.q", 0) == ()
    assert is_partition("shop.q.p1-of-2")
    assert not is_partition("shop.q.p1")
    assert partitioned("shop.q.p1-of-2") == "shop.q" == partitioned("shop.q")


def test_shares_are_even_and_whole() -> None:
    workers = ["a", "b", "c"]
    shares = [share(8, workers, worker) for worker in workers]
    assert sorted(map(len, shares)) == [2, 3, 3]
    assert frozenset().union(*shares) == frozenset(range(8))
    assert share(8, workers, "d") == frozenset()


def test_what_is_routed_is_found_as_it_was() -> None:
    before = Delivery(
        "q",
        Message(b"{}", {"a": 1, "x-death": "forged", "CC": "spam"}, message_id="1"),
        7,
        2,
        "events",
        "order.placed",
        True,
    )
    sent = wrap(before)
    assert sent.body is before.message.body
    assert "CC" not in sent.headers
    after = unwrap(Delivery("q.p0-of-2", sent, 9, 3, "", "q.p0-of-2"))
    assert (after.exchange, after.routing_key, after.defect) == ("events", "order.placed", None)
    assert (after.message.headers, after.message.message_id) == ({"a": 1}, "1")
    assert (after.queue, after.tag, after.generation) == ("q.p0-of-2", 9, 3)
    broken = unwrap(Delivery("q.p0-of-2", wrap(Delivery("q", Message(b""), 1, defect="a header")), 1))
    assert broken.defect == "a header"
    plain = Delivery("q", Message(b"{}"), 1)
    assert unwrap(plain) is plain
