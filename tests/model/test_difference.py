"""What differs between two JSON values is found, and makes one of the other."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given

from engine.model import json_text
from engine.model.difference import apply, difference, same
from tests.model.test_json_text import VALUES


def summary(before: Any, after: Any) -> list[tuple[str, str, Any, Any]]:
    return [(change.path, str(change.kind), change.before, change.after) for change in difference(before, after)]


def test_fields() -> None:
    assert summary({"a": 1, "b": {"c": 2}, "d": 3}, {"a": 1, "b": {"c": 4, "e": 5}}) == [
        ("d", "removed", 3, None),
        ("b.c", "changed", 2, 4),
        ("b.e", "added", None, 5),
    ]
    assert summary([1, 2, 3, 4], [1, 3, 4]) == [("[1]", "removed", 2, None)]
    assert summary({"l": [{"x": 1}, {"x": 2}]}, {"l": [{"x": 0}, {"x": 1}, {"x": 2}]}) == [
        ("l[0]", "added", None, {"x": 0})
    ]
    assert summary({"l": [{"x": 1}, 2]}, {"l": [{"x": 9}, 2]}) == [("l[0].x", "changed", 1, 9)]
    assert summary(1, "1") == [("", "changed", 1, "1")]
    assert summary(1, True) == [("", "changed", 1, True)]
    assert summary({"a": 1}, {"a": 1}) == []


def test_numbers_are_equal_when_their_values_are() -> None:
    assert difference(json_text.parse(b'{"a":9.50}'), json_text.parse(b'{ "a" : 9.5 }')) == []


@given(VALUES, VALUES)
def test_the_changes_make_one_of_the_other(before: Any, after: Any) -> None:
    kept = json.dumps(before)
    assert same(apply(before, difference(before, after)), after)
    assert json.dumps(before) == kept


@given(VALUES)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert difference(value, json.loads(json.dumps(value))) == []
