"""The filter language: what is typed is what is meant, and what cannot be read says where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import FilterError
from engine.model.failure import Status
from engine.model.filter import Filter
from engine.model.filtering import TERMS, compose, parse

NOW = 1_000_000.0


def read(text: str, status: Status | None = Status.OPEN) -> Filter:
    return parse(text, now=NOW, zone=UTC, status=status)


def test_all_kinds_of_terms() -> None:
    assert read(
        'handler:charge exception:Timeout* type:order.placed data.order_id=17 newer:2h "free text" status:all id:3,4'
    ) == Filter(
        handler="charge",
        exception="Timeout*",
        event_type="order.placed",
        fields=(("data.order_id", "17"),),
        arrived_after=NOW - 7200,
        texts=("free text",),
        status=None,
        ids=(3, 4),
    )
    assert read("") == Filter(status=Status.OPEN)
    assert read("  card   declined ") == Filter(status=Status.OPEN, texts=("card", "declined"))
    assert read("queue:q reason:r cause:f event:e correlation:c act:a edited:yes older:1d", None) == Filter(
        queue="q",
        reason="r",
        fingerprint="f",
        event_id="e",
        correlation_id="c",
        act="a",
        edited=True,
        arrived_before=NOW - 86400,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'reason:"a \"b\" \\ c"', Filter(reason=r'a "b" \ c')),
        ('"handler:charge"', Filter(texts=("handler:charge",))),
        ('text:"status:open"', Filter(texts=("status:open",))),
        ("data.url=http://x/?a=b", Filter(fields=(("data.url", "http://x/?a=b"),))),
        ("data.lines[2].sku=A-1", Filter(fields=(("data.lines.sku", "A-1"),))),
        ('data."order id"=17', Filter(fields=(("data.order id", "17"),))),
        ("data.note=", Filter(fields=(("data.note", ""),))),
        (
            "metadata.tenant=t data.a=1 data.b=2",
            Filter(fields=(("metadata.tenant", "t"), ("data.a", "1"), ("data.b", "2"))),
        ),
        ("type:a:b", Filter(event_type="a:b")),
        ("since:1970-01-02T00:00:00Z", Filter(arrived_after=86400.0)),
        ("until:1970-01-02", Filter(arrived_before=86400.0)),
        ("since:1970-01-02T02:00+02:00", Filter(arrived_after=86400.0)),
    ],
)
def test_values(text: str, expected: Filter) -> None:
    assert read(text, None) == expected


def test_times_without_an_offset_are_of_the_zone() -> None:
    found = parse("since:1970-01-02", now=NOW, zone=timezone(timedelta(hours=2)))
    assert found.arrived_after == 86400 - 7200


@pytest.mark.parametrize(
    ("text", "column", "width", "message", "hint"),
    [
        ("x handlr:charge", 2, 6, "no term 'handlr'", "'handler'"),
        ("order_id=17", 0, 8, "no term 'order_id'", "data.order_id=17"),
        ("a 12:30", 2, 2, "no term '12'", "Quote it"),
        ("handler=charge", 0, 14, "colon", "handler:charge"),
        ("a data.x:17", 2, 9, "goes with =", "data.x=17"),
        ("handler:", 0, 8, "has no value", "handler:charge"),
        ('a "b c', 2, 4, "does not end", '"card declined"'),
        ('a ""', 2, 2, "nothing between", ""),
        ("status:opne", 0, 11, "not a status", "'open'"),
        ("newer:soon", 0, 10, "not a length of time", "2h"),
        ("since:yesterday", 0, 15, "not a time", "2026-11-23"),
        ("id:seven", 0, 8, "not numbers", "id:17"),
        ("id:1,٣", 0, 6, "not numbers", "id:17"),
        ("edited:maybe", 0, 12, "neither yes nor no", "edited:yes"),
        ("handler:a queue:b handler:c", 18, 9, "both say the same", "Keep one"),
        ("newer:1h since:2026-01-01", 9, 16, "both say the same", "Keep one"),
        ("data..x=1", 0, 9, "names no field", "data.order_id"),
        (":x", 0, 1, "no term ''", ""),
    ],
)
def test_what_is_wrong_says_where(text: str, column: int, width: int, message: str, hint: str) -> None:
    with pytest.raises(FilterError) as refused:
        read(text)
    assert message in refused.value.message
    assert hint in refused.value.hint
    assert (refused.value.column, refused.value.width) == (column, width)


def test_the_examples_of_the_help_can_be_read() -> None:
    for term in TERMS:
        assert getattr(read(term.example, None), term.fills) not in (None, ()) or term.name == "status"


#: Times that ISO 8601 with microseconds holds exactly.
MOMENTS = st.integers(0, 4_000_000_000).map(float)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
PATHS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters='.[]\0"'), min_size=1, max_size=8), min_size=1, max_size=3
).map(lambda names: ".".join(["data", *names]))
FILTERS = st.builds(
    Filter,
    ids=st.none() | st.lists(st.integers(0, 10**12), min_size=1, max_size=4, unique=True).map(tuple),
    queue=st.none() | WORDS,
    handler=st.none() | WORDS,
    exception=st.none() | WORDS,
    reason=st.none() | WORDS,
    event_type=st.none() | WORDS,
    event_id=st.none() | WORDS,
    correlation_id=st.none() | WORDS,
    fingerprint=st.none() | WORDS,
    act=st.none() | WORDS,
    texts=st.lists(WORDS, max_size=3).map(tuple),
    fields=st.lists(st.tuples(PATHS, st.text(st.characters(codec="utf-8"), max_size=8)), max_size=3).map(tuple),
    edited=st.none() | st.booleans(),
    arrived_before=st.none() | MOMENTS,
    arrived_after=st.none() | MOMENTS,
    status=st.none() | st.sampled_from(Status),
)


@given(FILTERS)
def test_a_filter_is_read_as_it_was_written(wanted: Filter) -> None:
    assert read(compose(wanted)) == wanted


@given(st.text(max_size=60))
def test_whatever_is_typed_is_a_filter_or_says_where_it_is_none(text: str) -> None:
    wrong: FilterError | None = None
    try:
        parse(text, now=datetime(2026, 11, 23, tzinfo=UTC).timestamp(), zone=UTC)
    except FilterError as error:
        wrong = error
    if wrong is not None:
        assert 0 <= wrong.column < len(text)
        assert wrong.width >= 1
        assert wrong.column + wrong.width <= len(text) or wrong.width == 1
