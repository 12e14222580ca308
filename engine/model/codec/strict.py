"""JSON read strictly (RFC 8259, I-JSON of RFC 7493): nothing is guessed, nothing is dropped.

Python's own reader takes NaN, 1e999 and duplicate keys, and falls over deep nesting and
long integers. Here each is a `DecodingError` that says where, and never what: a payload's
values do not belong in logs.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple

import orjson

from engine.errors import DecodingError


class Limits(NamedTuple):
    """What a body may be: `size` in bytes, `depth` in nested arrays and objects."""

    size: int = 1024 * 1024
    depth: int = 64


LIMITS = Limits()

#: Integers are signed and of 64 bits, as nearly every reader of JSON has them.
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**63 - 1

_UNICODE_MARKS = {
    b"\xef\xbb\xbf": "begins with a byte order mark",
    b"\xff\xfe": "is UTF-16, not UTF-8",
    b"\xfe\xff": "is UTF-16, not UTF-8",
}
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|([\[{])|([\]}])', re.DOTALL)
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")

#: Longest name of a field that an error repeats.
_MAX_SHOWN = 60


class _Refused(Exception):
    """A hook of the fast reader met something; the slow one will say what and where."""


class _Flaw(NamedTuple):
    problem: str


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written, duplicates and all."""


def loads(body: bytes, limits: Limits = LIMITS) -> Any:
    """Read a JSON text in UTF-8; raises `DecodingError` for all that is not strictly that."""
    if len(body) > limits.size:
        raise DecodingError(f"the body has {len(body)} bytes; the limit is {limits.size}")
    if (value := _compact(body, limits.depth)) is not None:
        return value
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise DecodingError(f"the body {_encoding(body) or f'is not UTF-8 (byte {error.start})'}") from None
    if text.count("[") + text.count("{") > limits.depth:
        _check_depth(text, limits.depth)
    try:
        value = _READER.decode(text)
        if "\\u" in text and _HALF_PAIR.search(text):
            _refuse_half_pairs(value)
    except _Refused:
        raise DecodingError(_explain(text)) from None
    except json.JSONDecodeError as error:
        raise DecodingError(_malformed(body, error)) from None
    return value


def _compact(body: bytes, depth: int) -> Any:
    """What a fast reader makes of a body, where nothing can have escaped it; None where it takes a slower look.

    That reader drops duplicate keys and bends some numbers. A body that comes out of its writer as it
    went in has none of either: so it is for what Warren, and every compact writer, writes.
    """
    if body.count(b"[") + body.count(b"{") > depth:
        return None
    try:
        value = orjson.loads(body)
        return value if orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER) == body else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None


def kind(value: object) -> str:
    """The JSON kind of a value, with its article."""
    if value is None:
        return "null"
    kinds: dict[type, str] = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return kinds.get(type(value), "a number")


def join(where: str, key: object) -> str:
    """The path one step deeper, as `data.lines[2].total`. Long and unprintable keys are cut."""
    if isinstance(key, int):
        return f"{where}[{key}]"
    shown = "".join(char if char.isprintable() else "?" for char in str(key)[:_MAX_SHOWN])
    return f"{where}.{shown}" if where else shown


def _encoding(body: bytes) -> str | None:
    for mark, problem in _UNICODE_MARKS.items():
        if body.startswith(mark):
            return problem
    if b"\x00" in body[:4]:
        return "is UTF-16 or UTF-32, not UTF-8"
    return None


def _malformed(body: bytes, error: json.JSONDecodeError) -> str:
    if not body.strip():
        return "the body is empty"
    problem = _encoding(body)
    return f"the body {problem}" if problem else f"the body is not JSON: {error.msg} (character {error.pos})"


def _check_depth(text: str, limit: int) -> None:
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[1]:
            depth += 1
            if depth > limit:
                raise DecodingError(f"the body nests deeper than {limit} levels")
        elif token[2]:
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Refused
    return value


def _integer(text: str) -> int:
    if len(text) > 18 and (len(text) > 20 or not MIN_INTEGER <= int(text) <= MAX_INTEGER):
        raise _Refused
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _Refused
    return value


def _constant(text: str) -> Any:
    raise _Refused


def _refuse_half_pairs(value: Any) -> None:
    if isinstance(value, str):
        if not _encodes(value):
            raise _Refused
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_half_pairs(key)
            _refuse_half_pairs(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_half_pairs(item)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_READER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant)


def _flawed(hook: Any, problem: str) -> Any:
    """The hook, with what it refuses kept in place as a flaw."""

    def read(text: str) -> Any:
        try:
            return hook(text)
        except _Refused:
            return _Flaw(problem)

    return read


_WITNESS = json.JSONDecoder(
    object_pairs_hook=_Pairs,
    parse_int=_flawed(_integer, "an integer beyond 64 bits"),
    parse_float=_flawed(_number, "a number too large"),
    parse_constant=_flawed(_constant, "NaN or Infinity"),
)


def _explain(text: str) -> str:
    try:
        problem = _find(_WITNESS.decode(text), "")
    except json.JSONDecodeError as error:  # malformed behind what the fast reader stopped at
        return f"the body is not JSON: {error.msg} (character {error.pos})"
    return problem or "the body is not strict JSON"


def _find(value: Any, where: str) -> str | None:
    """The first flaw within the value, and where it is."""
    at = f"at {where}" if where else "as the whole body"
    if isinstance(value, _Flaw):
        return f"{value.problem} {at}"
    if isinstance(value, str) and not _encodes(value):
        return f"half a surrogate pair {at}"
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, item in value:
            if not _encodes(key):
                return f"half a surrogate pair in a key of {where or 'the body'}"
            if key in seen:
                return f"a duplicate key at {join(where, key)}"
            seen.add(key)
            if problem := _find(item, join(where, key)):
                return problem
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if problem := _find(item, join(where, index)):
                return problem
    return None
