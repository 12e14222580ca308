from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DecodingError
from engine.model import headers
from engine.model.headers import MAX_DEPTH, TOO_DEEP, clean, dump, load, read_int, read_str

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.datetimes(timezones=st.just(UTC))
)
names = st.text(max_size=12) | st.sampled_from(["$bytes", "$time", "$table", "$float", "$decimal", "$", "x-death"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=20
)
tables = st.dictionaries(names, values, max_size=6)


def same(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return type(right) is dict and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return type(right) is list and len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right and str(left) == str(right)


@given(tables)
def test_dumped_headers_load_with_the_same_types(table: dict[str, Any]) -> None:
    text = dump(table)
    assert text.isascii()
    assert "\x00" not in text
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    assert same(table, load(text))


def test_not_a_number_survives() -> None:
    back = load(dump({"nan": math.nan, "inf": [-math.inf]}))
    assert math.isnan(back["nan"])  # type: ignore[arg-type]
    assert back["inf"] == [-math.inf]


def test_times_are_stored_in_utc() -> None:
    there = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    naive = datetime(2026, 1, 1, 10, tzinfo=UTC).replace(tzinfo=None)  # AMQP clients hand out such ones
    assert load(dump({"a": there, "b": naive})) == {"a": there, "b": naive.replace(tzinfo=UTC)}  # type: ignore[dict-item]


def test_what_amqp_cannot_hold_becomes_text_and_never_raises() -> None:
    deep: Any = "bottom"
    for _ in range(3_000):
        deep = {"in": [deep]}
    back = load(dump({"deep": deep, "odd": {1, 2} - {2}, "tuple": (1, "two")}))  # type: ignore[dict-item]
    assert back["odd"] == "{1}"
    assert back["tuple"] == [1, "two"]
    text = dump({"deep": deep})
    assert TOO_DEEP in text
    assert len(text) < 20 * MAX_DEPTH


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", '{"a":{"$bytes":"é"}}', '{"a":{"$time":"noon"}}', '{"a":{"$float":"x"}}']
)
def test_damaged_rows_are_a_decoding_error(text: str) -> None:
    with pytest.raises(DecodingError):
        load(text)


def test_decimals_keep_their_digits() -> None:
    table: dict[str, Any] = {"price": Decimal("1.50")}
    assert str(load(dump(table))["price"]) == "1.50"


def test_clean_keeps_foreign_headers_and_drops_what_routes_or_lies() -> None:
    given_headers: dict[str, Any] = {
        "CC": ["elsewhere"],
        "BCC": ["elsewhere"],
        "x-death": "forged",
        "x-delivery-count": 3,
        "traceparent": "00-…",
        "X-Request-Id": "7",
        headers.RUN: 3,
        headers.REASON: "forged",
    }
    assert clean(given_headers) == {
        "traceparent": "00-…",
        "X-Request-Id": "7",
        headers.RUN: 3,
        headers.REASON: "forged",
    }
    assert clean(given_headers, ours=True) == {"traceparent": "00-…", "X-Request-Id": "7"}
    assert "CC" in given_headers


@pytest.mark.parametrize("value", ["3", "abc", -1, 11, 10**12, 2.0, True, None, b"3", [3], {"a": 3}])
def test_a_number_that_is_none_reads_as_the_default(value: Any) -> None:
    assert read_int({"n": value}, "n", 7, 0, 10) == 7


def test_a_number_reads_as_itself() -> None:
    assert [read_int({"n": n}, "n", 7, 0, 10) for n in (0, 5, 10)] == [0, 5, 10]
    assert read_int({}, "n", 7, 0, 10) == 7


def test_text_reads_as_itself_and_anything_else_as_the_default() -> None:
    assert read_str({"s": "text"}, "s") == "text"
    assert read_str({"s": b"text"}, "s", "-") == "-"
    assert read_str({}, "s", "-") == "-"
