"""JSON that is shown and edited loses nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DecodingError
from engine.model import json_text
from engine.model.json_text import Numeral

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([None, 2]))
def test_a_value_is_read_as_it_was_written(value: Any, indent: int | None) -> None:
    read = json_text.parse(json_text.write(json_text.parse(json.dumps(value).encode()), indent=indent).encode())
    assert json_text.plain(read) == value


def test_numbers_keep_their_digits() -> None:
    text = '{"a":9.50,"b":1e3,"c":-0.0,"d":9223372036854775807,"e":[1.0]}'
    assert json_text.write(json_text.parse(text.encode())) == text
    assert json_text.plain(json_text.parse(b'{"a":9.50,"b":17}')) == {"a": 9.5, "b": 17}


def test_layout() -> None:
    value = json_text.parse(b'{"a":[1,{"b":"\xc3\xbc"}],"c":{},"d":[]}')
    assert json_text.write(value) == '{"a":[1,{"b":"ü"}],"c":{},"d":[]}'
    assert json_text.write(value, indent=2) == json.dumps(
        {"a": [1, {"b": "ü"}], "c": {}, "d": []}, indent=2, ensure_ascii=False
    )


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":1,"a":2}', b"NaN", b"1e999", b"\xff", b"[" * 70 + b"]" * 70])
def test_what_is_not_strictly_json_is_refused(body: bytes) -> None:
    with pytest.raises(DecodingError):
        json_text.parse(body)


def test_numerals_are_equal_by_value() -> None:
    assert Numeral("9.50") == Numeral("9.5")
    assert hash(Numeral("1e1")) == hash(Numeral("10"))
    assert Numeral("1") != Numeral("2")
    assert Numeral("1") != 1
