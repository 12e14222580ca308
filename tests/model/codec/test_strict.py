"""Strict JSON: what is refused says what and where, and what is read is what `json` reads."""

from __future__ import annotations

import json
import pickle
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DecodingError
from engine.model.codec.strict import Limits, loads

FLAWED: list[tuple[bytes, str]] = [
    (b"", "empty"),
    (b" \n", "empty"),
    (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
    ('{"a":1}'.encode("utf-16"), "UTF-16"),
    ('{"a":1}'.encode("utf-16-le"), "UTF-16"),
    ('{"a":1}'.encode("utf-32-be"), "UTF-16 or UTF-32"),
    ('{"a":"é"}'.encode("latin-1"), "not UTF-8 (byte 6)"),
    (b'{"a":', "not JSON"),
    (b'{"a":1}}', "Extra data"),
    (b"{'a':1}", "not JSON"),
    (b'{"a":1,}', "not JSON"),
    (b'{"a":"\n"}', "Invalid control character"),
    (b'{"order":{"total":NaN}}', "NaN or Infinity at order.total"),
    (b'{"a":[1,-Infinity]}', "NaN or Infinity at a[1]"),
    (b'{"a":1e999}', "a number too large at a"),
    (b'{"a":9223372036854775808}', "an integer beyond 64 bits at a"),
    (b'{"a":-9223372036854775809}', "an integer beyond 64 bits at a"),
    (b'{"a":' + b"9" * 5000 + b"}", "an integer beyond 64 bits at a"),
    (b"NaN", "NaN or Infinity as the whole body"),
    (b'{"a":1,"b":{"c":1,"c":2}}', "a duplicate key at b.c"),
    (b'{"a":1,"\\u0061":2}', "a duplicate key at a"),
    (b'{"a":["\\ud800"]}', "half a surrogate pair at a[0]"),
    (b'{"\\udc00":1}', "half a surrogate pair in a key of the body"),
    (b'{"a":{"a\\u001b[2J":1,"a\\u001b[2J":2}}', "a duplicate key at a.a?[2J"),
    (b'{"x":1,"x":2, oops}', "not JSON"),
    (pickle.dumps({"a": 1}), "not UTF-8"),
    (b"[" * 100_000 + b"]" * 100_000, "nests deeper than 64 levels"),
    (b'{"a":' * 65 + b"1" + b"}" * 65, "nests deeper than 64 levels"),
]


@pytest.mark.parametrize(("body", "reason"), FLAWED, ids=[reason for _, reason in FLAWED])
def test_what_is_not_strict_json_is_refused_with_its_place(body: bytes, reason: str) -> None:
    with pytest.raises(DecodingError) as caught:
        loads(body)
    assert reason in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":9223372036854775807,"b":-9223372036854775808,"c":-0.0,"d":1e308}',
        b'{"a":"\\u0000","b":"\\ud83d\\ude00"}',
        b'{"brackets":"' + b"[{" * 500 + b'","quote":"\\"[[["}',
        b"[" * 64 + b"]" * 64,
        b"null",
        b' {"a" : [ true , false , null ] } ',
    ],
)
def test_what_is_strict_json_is_read_as_json_reads_it(body: bytes) -> None:
    assert loads(body) == json.loads(body)


def test_the_limits_can_be_set() -> None:
    assert loads(b"[[1]]", Limits(size=5, depth=2)) == [[1]]
    with pytest.raises(DecodingError, match="has 6 bytes; the limit is 5"):
        loads(b"[[1] ]", Limits(size=5))
    with pytest.raises(DecodingError, match="deeper than 1"):
        loads(b"[[1]]", Limits(depth=1))


def test_no_value_is_repeated_in_an_error() -> None:
    for body in (b'{"card":"4111","card":"4111"}', b'{"card":4111111111111111111111}', b'{"card":"4111" x}'):
        with pytest.raises(DecodingError) as caught:
            loads(body)
        assert "4111" not in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * 349_000 + b"[]]",
        b"[" + b"{}," * 349_000 + b"{}]",
        b'"' + b'\\"' * 524_000,
        b"[[" * 40 + b'"' + b'\\"' * 524_000,
        b'{"a":1,' + b'"b":[],' * 149_000 + b'"a":1}',
        b"1" * 1_048_576,
    ],
    ids=["arrays", "objects", "open string", "open string in arrays", "duplicates", "digits"],
)
def test_a_full_body_costs_little_memory_and_time(body: bytes) -> None:
    tracemalloc.start()
    begun = time.process_time()
    try:
        loads(body)
    except DecodingError:
        pass
    spent = time.process_time() - begun
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 1024 * 1024
    assert spent < 20


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_values, st.booleans())
def test_it_agrees_with_json_on_what_json_writes(value: Any, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert loads(body) == value
    assert repr(loads(body)) == repr(json.loads(body))


@given(st.binary(max_size=200) | st.text('{}[]",:\\0123456789eE.-+NnaIintruefls ud8c', max_size=60).map(str.encode))
@settings(max_examples=500)
def test_arbitrary_bytes_are_read_as_json_reads_them_or_refused(body: bytes) -> None:
    try:
        value = loads(body)
    except DecodingError:
        return
    assert json.loads(body) == value


@given(st.dictionaries(st.text("ab", min_size=1, max_size=2), st.integers(0, 9), min_size=1, max_size=3), st.data())
def test_any_key_written_twice_is_found(value: dict[str, int], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(value)))
    members = [*value.items(), (key, 0)]
    order = data.draw(st.permutations(members))
    inner = "{" + ",".join(f"{json.dumps(name)}:{number}" for name, number in order) + "}"
    with pytest.raises(DecodingError, match=rf"a duplicate key at x\[0\]\.{key}$"):
        loads(f'{{"x":[{inner}]}}'.encode())
