"""Filters of the log as they are typed."""

from __future__ import annotations

import pytest

from engine.errors import FilterError, UsageError
from engine.operations.event_filtering import TERMS, added, parse_event_filter
from engine.operations.events import EventFilter, Origin

NOW = 10_000.0


def test_every_term_says_what_it_means() -> None:
    text = (
        "type:order.* type:shop.# stream:account/a/1 correlation:v-7 event:e-1 source:shop origin:appended"
        ' newer:1h until:1970-01-01T02:00Z "two words" text:more'
    )
    assert parse_event_filter(text, now=NOW) == EventFilter(
        types=("order.*", "shop.#"),
        aggregate_type="account",
        aggregate_id="a/1",
        in_stream=True,
        correlation_id="v-7",
        event_ids=("e-1",),
        source="shop",
        origin=Origin.APPENDED,
        since=6400.0,
        until=7200.0,
        texts=("two words", "more"),
    )
    assert parse_event_filter("aggregate:order", now=NOW) == EventFilter(aggregate_type="order")
    assert parse_event_filter("", now=NOW) == EventFilter()


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_the_examples_are_filters(term: object) -> None:
    assert parse_event_filter(term.example, now=NOW) != EventFilter()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "column", "width", "message"),
    [
        ("type:a tpye:b", 7, 4, "there is no term 'tpye'"),
        ("type:", 0, 5, "type: has no value"),
        ("source=shop", 0, 11, "source goes with a colon"),
        ("x type:or*der", 2, 11, "or*der"),
        ("stream:/42", 0, 10, "not type/id: /42"),
        ("stream:order/", 0, 13, "not type/id"),
        ("origin:sent", 0, 11, "not an origin: sent"),
        ("newer:soon", 0, 10, "soon"),
        ("since:noon", 0, 10, "not a time: noon"),
        ('"', 0, 1, "the quote does not end"),
        ('a ""', 2, 2, "nothing between the quotes"),
        ("newer:1h since:2026-01-01", 9, 16, "since and newer"),
        ("stream:a aggregate:b", 9, 11, "aggregate and stream"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, column: int, width: int, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_event_filter(text, now=NOW)
    assert message in caught.value.message
    assert (caught.value.column, caught.value.width) == (column, width)


def test_options_and_a_typed_filter_hold_together() -> None:
    options = EventFilter(types=["order.*"], since=5.0)
    assert added(options, "source:shop x", now=NOW) == EventFilter(
        types=["order.*"], since=5.0, source="shop", texts=("x",)
    )
    assert added(options, "", now=NOW) == options
    with pytest.raises(UsageError, match="says types twice"):
        added(options, "type:a", now=NOW)
    with pytest.raises(FilterError, match=r"tpye:b\n +\^\^\^\^"):
        added(options, "x tpye:b", now=NOW)
