"""JSON as a text to be shown and edited: numbers keep their digits, so that 9.50 stays 9.50."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

from engine.errors import DecodingError
from engine.model.codec.strict import LIMITS, Limits, loads

#: Deeper than that is not taken apart.
MAX_DEPTH: Final = LIMITS.depth


class Numeral:
    """A number as it was written. Two are equal when their values are."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Numeral) and Decimal(self.text) == Decimal(other.text)

    def __hash__(self) -> int:
        return hash(Decimal(self.text))

    def __repr__(self) -> str:
        return f"Numeral({self.text})"

    def plain(self) -> int | float:
        """The number of Python nearest to it."""
        return int(self.text) if self.text.lstrip("-").isdigit() else float(self.text)


_READER = json.JSONDecoder(parse_int=Numeral, parse_float=Numeral)


def parse(body: bytes) -> Any:
    """The value of a JSON text, its numbers as `Numeral`. Raises `DecodingError` for what is not strictly JSON."""
    loads(body, Limits(size=max(len(body), 1), depth=MAX_DEPTH))
    return _READER.decode(body.decode())


def read(text: str) -> Any:
    """The same from text. Raises `json.JSONDecodeError`, which knows line and column, where it does."""
    _READER.decode(text)
    try:
        return parse(text.encode())
    except UnicodeEncodeError:
        raise DecodingError("the body holds half a surrogate pair") from None


def write(value: Any, *, indent: int | None = None) -> str:
    """The value as JSON: in one line without spaces, or indented."""
    return "".join(_pieces(value, "" if indent is None else "\n", "" if indent is None else " " * indent))


def plain(value: Any) -> Any:
    """The value with numbers of Python."""
    return walk(value, lambda scalar: scalar.plain() if isinstance(scalar, Numeral) else scalar)


def walk(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value with each scalar changed."""
    if isinstance(value, dict):
        return {name: walk(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [walk(item, change) for item in value]
    return change(value)


def _pieces(value: Any, line: str, step: str) -> Iterator[str]:
    inner = line + step
    if isinstance(value, dict) and value:
        colon = ": " if line else ":"
        yield "{"
        for at, (name, item) in enumerate(value.items()):
            yield f"{',' if at else ''}{inner}{_text(name)}{colon}"
            yield from _pieces(item, inner, step)
        yield line + "}"
    elif isinstance(value, list) and value:
        yield "["
        for at, item in enumerate(value):
            yield f"{',' if at else ''}{inner}"
            yield from _pieces(item, inner, step)
        yield line + "]"
    elif isinstance(value, Numeral):
        yield value.text
    else:
        yield _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
