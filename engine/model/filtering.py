"""Filters as they are typed: `handler:charge exception:Timeout* data.order_id=17 newer:2h "card declined"`.

    filter  = term*                                  all of them must hold
    term    = name ":" value                         see `TERMS`
            | ("data" | "metadata") ("." key)+ "=" value
            | value                                  text in message, exception, reason, event id, handler or type
    value   = what is quoted, and what is not and holds no space; \\" and \\\\ within quotes

What is wrong is a `FilterError` that says at which characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

from engine.errors import ConfigurationError, FilterError
from engine.model.durations import parse_duration
from engine.model.failure import Status
from engine.model.filter import Filter
from engine.model.leaves import ROOTS
from engine.model.names import nearest

ALL = "all"


class Term(NamedTuple):
    """A term by name: the part of `Filter` it fills, what it means, and an example."""

    name: str
    fills: str
    meaning: str
    example: str


#: The terms that have a name, in the order in which help lists them.
TERMS: tuple[Term, ...] = (
    Term("handler", "handler", "the handler's name; a * at the end stands for any rest", "handler:charge"),
    Term("queue", "queue", "the queue", "queue:shop.orders.*"),
    Term("exception", "exception", "the exception's name", "exception:Timeout*"),
    Term("type", "event_type", "the event type", "type:order.placed"),
    Term("reason", "reason", "why it was given up", 'reason:"attempts exhausted"'),
    Term("cause", "fingerprint", "the cause id that groups have", "cause:3f0c9a1b2d4e"),
    Term("event", "event_id", "the event id", "event:0192…"),
    Term("correlation", "correlation_id", "the correlation id", "correlation:visit-7"),
    Term("id", "ids", "failures by number", "id:17,18"),
    Term("newer", "arrived_after", "failed since so long ago", "newer:2h"),
    Term("older", "arrived_before", "failed longer ago", "older:1d"),
    Term("since", "arrived_after", "failed after a time", "since:2026-11-23T10:00"),
    Term("until", "arrived_before", "failed before a time", "until:2026-11-24"),
    Term("status", "status", "open, redriven, archived or all", "status:all"),
    Term("edited", "edited", "whether an edit waits to be sent: yes or no", "edited:yes"),
    Term("act", "act", "archived by this act", "act:a-7k2m9q"),
    Term("text", "texts", "text in message, exception, reason, event id, handler or type", 'text:"card declined"'),
)

_BY_NAME = {term.name: term for term in TERMS}
_WORDS = {"yes": True, "true": True, "no": False, "false": False}
_INDEX = re.compile(r"\[\d*\]")
_BARE = re.compile(r'[^\s":=\\]+')


class Piece(NamedTuple):
    """A term as it was read: what stands before `:` or `=`, and after it."""

    name: str
    mark: str
    value: str
    column: int
    width: int
    value_column: int


def parse(text: str, *, now: float, zone: tzinfo | None, status: Status | None = Status.OPEN) -> Filter:
    """The filter that is typed. Raises `FilterError`.

    Ages are reckoned from `now`, times without an offset are of `zone`. `status` holds where none is typed.
    """
    found: dict[str, Any] = {"status": status}
    given: dict[str, Piece] = {}
    for piece in pieces(text):
        fills, value = _read(piece, now, zone)
        if fills in ("texts", "fields"):
            found[fills] = (*found.get(fills, ()), value)
            continue
        if fills in given:
            raise wrong(
                piece, f"{piece.name} and {given[fills].name}: all terms must hold, and both say the same", "Keep one."
            )
        given[fills] = piece
        found[fills] = value
    return Filter(**found)


def pieces(text: str) -> Iterator[Piece]:
    """The terms of a filter, taken apart. Raises `FilterError` for a quote that does not end."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        piece = _piece(text, at)
        yield piece
        at += piece.width


def _piece(text: str, start: int) -> Piece:
    parts, name, mark, value_column = [""], "", "", start
    at = start
    while at < len(text) and not text[at].isspace():
        character = text[at]
        if character == '"':
            inside, at = _quoted(text, at)
            parts.append(inside)
            continue
        at += 1
        if character in ":=" and not mark:
            name, mark, value_column = "".join(parts), character, at
            parts = [""]
        else:
            parts.append(character)
    return Piece(name, mark, "".join(parts), start, at - start, value_column)


def _quoted(text: str, start: int) -> tuple[str, int]:
    """What stands between quotes, and where it goes on behind them."""
    found: list[str] = []
    at = start + 1
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text):
            found.append(text[at + 1])
            at += 2
        elif text[at] == '"':
            return "".join(found), at + 1
        else:
            found.append(text[at])
            at += 1
    raise FilterError("the quote does not end", hint='Write "card declined".', column=start, width=len(text) - start)


def _read(piece: Piece, now: float, zone: tzinfo | None) -> tuple[str, Any]:
    if not piece.mark:
        if not piece.value:
            raise wrong(piece, "there is nothing between the quotes", "")
        return "texts", piece.value
    root, dot, _ = piece.name.partition(".")
    if root in ROOTS and dot:
        return "fields", _field(piece)
    term = _BY_NAME.get(piece.name)
    if term is None:
        raise _unknown(piece)
    if piece.mark == "=":
        raise wrong(piece, f"{piece.name} goes with a colon", f"Write {piece.name}:{piece.value or '…'}")
    if not piece.value:
        raise wrong(piece, f"{piece.name}: has no value", f"For example {term.example}")
    return term.fills, _value(term, piece, now, zone)


def _field(piece: Piece) -> tuple[str, str]:
    if piece.mark == ":":
        raise wrong(piece, "a field of the payload goes with =", f"Write {piece.name}={piece.value or '…'}")
    path = _INDEX.sub("", piece.name)
    if not all(path.split(".")):
        raise wrong(piece, f"{piece.name} names no field", "Write data.order_id=17 or data.lines.sku=A-1.")
    return path, piece.value


def _value(term: Term, piece: Piece, now: float, zone: tzinfo | None) -> Any:
    value = piece.value
    match term.name:
        case "id":
            return _ids(piece)
        case "newer" | "older":
            try:
                return now - parse_duration(value)
            except ConfigurationError as error:
                raise wrong(piece, error.message, error.hint) from None
        case "since" | "until":
            return to_moment(piece, zone)
        case "status":
            if value == ALL:
                return None
            if value not in list(Status):
                known = [*Status, ALL]
                raise wrong(piece, f"not a status: {value}", nearest(value, known) or f"There are {', '.join(known)}.")
            return Status(value)
        case "edited":
            if value.lower() not in _WORDS:
                raise wrong(piece, f"neither yes nor no: {value}", "Write edited:yes or edited:no.")
            return _WORDS[value.lower()]
        case _:
            return value


def _ids(piece: Piece) -> tuple[int, ...]:
    parts = piece.value.split(",")
    if not all(part.isdecimal() and part.isascii() and len(part) < 19 for part in parts):
        raise wrong(piece, f"not numbers of failures: {piece.value}", "Write id:17 or id:17,18.")
    return tuple(dict.fromkeys(map(int, parts)))


def to_moment(piece: Piece, zone: tzinfo | None) -> float:
    """The time that a term names, in seconds since the epoch; one without an offset is of `zone`. Raises `FilterError`."""
    try:
        moment = datetime.fromisoformat(piece.value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise wrong(piece, f"not a time: {piece.value}", "Write 2026-11-23 or 2026-11-23T10:00, or newer:2h.") from None


def _unknown(piece: Piece) -> FilterError:
    if piece.mark == "=":
        hint = f"A field of the payload begins with data: data.{piece.name}={piece.value}"
    else:
        hint = nearest(piece.name, _BY_NAME) or f"Terms are {', '.join(_BY_NAME)}. Quote it to look for it as text."
    return FilterError(f"there is no term {piece.name!r}", hint=hint, column=piece.column, width=len(piece.name) or 1)


def wrong(piece: Piece, message: str, hint: str) -> FilterError:
    """The error for a term, with its place."""
    return FilterError(message, hint=hint, column=piece.column, width=piece.width)


def compose(wanted: Filter) -> str:
    """The filter as it would be typed: `parse` reads the same filter from it."""
    found: list[str] = []
    for term in TERMS:
        if term.name in ("newer", "older", "text", "status", "edited"):
            continue
        value = getattr(wanted, term.fills)
        if value is None:
            continue
        if term.name == "id":
            found.append("id:" + ",".join(map(str, value)))
        elif term.name in ("since", "until"):
            found.append(f"{term.name}:{datetime.fromtimestamp(value, UTC).isoformat().replace('+00:00', 'Z')}")
        else:
            found.append(f"{term.name}:{quoted(value)}")
    if wanted.edited is not None:
        found.append(f"edited:{'yes' if wanted.edited else 'no'}")
    found += [f"{quoted(path)}={quoted(value)}" for path, value in wanted.fields]
    found += [quoted(text) for text in wanted.texts]
    return " ".join([*found, f"status:{wanted.status or ALL}"])


def quoted(text: str) -> str:
    """A value as it would be typed, in quotes where it needs them."""
    if _BARE.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
