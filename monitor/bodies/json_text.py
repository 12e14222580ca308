"""JSON as text: laid out by its tokens and never read, so no number, escape or repeated key changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

#: Levels that get lines of their own; what lies deeper is written on one line.
DEEPEST = 32

_INDENT = "  "
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_NUMBER = re.compile(r"-?\d[\d.eE+-]*")
_WORDS = frozenset({"true", "false", "null"})


Kind: TypeAlias = Literal["key", "string", "number", "word", "wrong"]


class Span(NamedTuple):
    """A stretch of a line, and what it is; `word` is true, false or null."""

    start: int
    end: int
    kind: Kind


def indent(text: str) -> str:
    """The same tokens, an item to a line. Works on JSON that breaks off, too."""
    return "".join(_laid_out(_TOKEN.findall(text)))


def _laid_out(lexemes: list[str]) -> Iterator[str]:
    depth, fresh = 0, False  # fresh: the lexeme before opened a level
    for lexeme in lexemes:
        closing = lexeme in ("}", "]")
        if closing:
            depth = max(depth - 1, 0)
        if fresh != closing and depth + closing <= DEEPEST:
            yield _line(depth)
        yield lexeme
        if lexeme == ":":
            yield " "
        elif lexeme == ",":
            yield _line(depth) if depth <= DEEPEST else " "
        fresh = lexeme in ("{", "[")
        depth += fresh


def _line(depth: int) -> str:
    return "\n" + _INDENT * depth


def spans(line: str) -> list[Span]:
    """What the parts of one line of JSON are; punctuation is left out."""
    found: list[Span] = []
    for match in _TOKEN.finditer(line):
        lexeme, start, end = match.group(), match.start(), match.end()
        if lexeme[0] == '"':
            is_key = line[end : end + 8].lstrip().startswith(":")
            found.append(Span(start, end, "key" if is_key else "string"))
        elif lexeme not in "{}[],:":
            found.append(Span(start, end, _kind(lexeme)))
    return found


def _kind(lexeme: str) -> Kind:
    if lexeme in _WORDS:
        return "word"
    return "number" if _NUMBER.fullmatch(lexeme) else "wrong"


def escaped(text: str) -> str:
    """JSON in which every character that does not print is written as its escape (`\\u202e`).

    Line feeds and tabs stay: they stand between the tokens. The value that is read from it is the same.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in "\n\t" else _escape(character) for character in text
    )


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
