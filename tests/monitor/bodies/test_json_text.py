"""JSON is laid out by its tokens: what is read from it stays the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.bodies.json_text import DEEPEST, Span, escaped, indent, spans

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_the_layout_is_that_of_the_standard_library(value: Any) -> None:
    assert indent(json.dumps(value)) == json.dumps(value, indent=2)


@given(values)
def test_a_layout_is_laid_out_as_it_was(value: Any) -> None:
    once = indent(json.dumps(value, ensure_ascii=False))
    assert indent(once) == once


@pytest.mark.parametrize("text", ["1.00", "1e999", "123456789012345678901234567890", '{"a": 1, "a": 2}', '"\\u0041"'])
def test_nothing_is_read_so_nothing_changes(text: str) -> None:
    assert "".join(indent(text).split()) == "".join(text.split())


@pytest.mark.parametrize("text", ["", '{"a', '{"a": [1, ', "}}}", '"\\', "nonsense, [", "[" * 50_000])
def test_text_that_is_broken_keeps_its_tokens(text: str) -> None:
    assert "".join(indent(text).split()) == "".join(text.split())


def test_deep_levels_stay_on_one_line() -> None:
    text = indent("[" * 5000 + "1" + "]" * 5000)
    assert text.count("\n") == 2 * DEEPEST
    assert len(text) < 20_000


def test_the_parts_of_a_line_are_told_apart() -> None:
    line = '  "total": -1.5e3, "x": [true, "a\\"b", oops]'
    assert [(line[span.start : span.end], span.kind) for span in spans(line)] == [
        ('"total"', "key"),
        ("-1.5e3", "number"),
        ('"x"', "key"),
        ("true", "word"),
        ('"a\\"b"', "string"),
        ("oops", "wrong"),
    ]
    assert spans('"never closed') == [Span(0, 13, "string")]


@given(values)
def test_escapes_say_the_same_and_print(value: Any) -> None:
    text = escaped(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert text.isprintable()
