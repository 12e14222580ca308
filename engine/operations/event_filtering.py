"""Filters of the log as they are typed: `type:order.* stream:account/a-1 newer:2h "o-17"`.

The grammar is that of the filters of failures (see engine/model/filtering.py), the terms are other ones. What is wrong is
a `FilterError` that says at which characters.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from engine.errors import ConfigurationError, FilterError, PluginError, UsageError
from engine.model.durations import parse_duration
from engine.model.filtering import Piece, Term, pieces, quoted, to_moment, wrong
from engine.model.names import nearest
from engine.model.topology import check_pattern
from engine.operations.filtering import pointed
from engine.storage.event_log import Origin
from engine.storage.event_search import SEARCHED, EventFilter

__all__ = ("SEARCHED", "TERMS", "added", "parse_event_filter", "quoted")

#: The terms that have a name, in the order in which help lists them.
TERMS: tuple[Term, ...] = (
    Term("type", "types", "the event type, or a topic pattern; several may be meant", "type:order.*"),
    Term("stream", "in_stream", "what belongs to this stream, or to those of a type", "stream:account/a-1"),
    Term("aggregate", "aggregate_type", "what is about this aggregate, or about those of a type", "aggregate:order/42"),
    Term("correlation", "correlation_id", "the correlation id", "correlation:visit-7"),
    Term("event", "event_ids", "the event id", "event:0192…"),
    Term("source", "source", "the application that published it", "source:shop"),
    Term("origin", "origin", "emitted, published, scheduled, appended or journalled", "origin:appended"),
    Term("newer", "since", "logged since so long ago", "newer:2h"),
    Term("older", "until", "logged longer ago", "older:1d"),
    Term("since", "since", "logged after a time", "since:2026-11-23T10:00"),
    Term("until", "until", "logged before a time", "until:2026-11-24"),
    Term("text", "texts", f"text in the body, of the newest {SEARCHED:,} events", 'text:"o-17"'),
)

_BY_NAME = {term.name: term for term in TERMS}
#: What several terms may say.
_MANY = ("types", "event_ids", "texts")


def parse_event_filter(text: str, *, now: float) -> EventFilter:
    """What is typed as a filter of the log; a word without a name is looked for in the bodies. Raises `FilterError`.

    Ages are reckoned from `now`, times without an offset are local.
    """
    found: dict[str, Any] = {}
    given: dict[str, Piece] = {}
    for piece in pieces(text):
        for fills, value in _read(piece, now).items():
            if fills in _MANY:
                found[fills] = (*found.get(fills, ()), value)
                continue
            if fills in given and given[fills] is not piece:
                raise wrong(
                    piece,
                    f"{piece.name} and {given[fills].name}: all terms must hold, and both say the same",
                    "Keep one.",
                )
            given[fills] = piece
            found[fills] = value
    return EventFilter(**found)


def added(wanted: EventFilter, where: str, *, now: float) -> EventFilter:
    """What options and a typed filter want together: all must hold. Raises `FilterError`, with the place shown.

    Raises `UsageError` for what both say.
    """
    try:
        typed = parse_event_filter(where, now=now)
    except FilterError as error:
        shown = "\n".join(f"  {line}" for line in pointed(where, error).split("\n"))
        raise FilterError(
            f"{error.message}\n{shown}", hint=error.hint, column=error.column, width=error.width
        ) from None
    nothing = EventFilter()
    said = {each.name: getattr(typed, each.name) for each in fields(typed)}
    said = {name: value for name, value in said.items() if value != getattr(nothing, name)}
    for name in said:
        if getattr(wanted, name) != getattr(nothing, name):
            raise UsageError(
                f"the filter says {name.replace('_', ' ')} twice",
                hint="Say it as an option or in --where, not in both.",
            )
    return replace(wanted, **said)


def _read(piece: Piece, now: float) -> dict[str, Any]:
    if not piece.mark:
        if not piece.value:
            raise wrong(piece, "there is nothing between the quotes", "")
        return {"texts": piece.value}
    term = _BY_NAME.get(piece.name)
    if term is None:
        hint = nearest(piece.name, _BY_NAME) or f"Terms are {', '.join(_BY_NAME)}. Quote it to look for it as text."
        raise FilterError(
            f"there is no term {piece.name!r}", hint=hint, column=piece.column, width=len(piece.name) or 1
        )
    if piece.mark == "=":
        raise wrong(piece, f"{piece.name} goes with a colon", f"Write {piece.name}:{piece.value or '…'}")
    if not piece.value:
        raise wrong(piece, f"{piece.name}: has no value", f"For example {term.example}")
    return _value(term, piece, now)


def _value(term: Term, piece: Piece, now: float) -> dict[str, Any]:
    value = piece.value
    match term.name:
        case "type":
            try:
                check_pattern(value)
            except PluginError as error:
                raise wrong(piece, error.message, error.hint) from None
            return {term.fills: value}
        case "stream" | "aggregate":
            return _about(piece, in_stream=term.name == "stream")
        case "origin":
            known = [str(origin) for origin in Origin]
            if value not in known:
                hint = nearest(value, known) or f"There are {', '.join(known)}."
                raise wrong(piece, f"not an origin: {value}", hint)
            return {term.fills: Origin(value)}
        case "newer" | "older":
            try:
                return {term.fills: now - parse_duration(value)}
            except ConfigurationError as error:
                raise wrong(piece, error.message, error.hint) from None
        case "since" | "until":
            return {term.fills: to_moment(piece, None)}
        case _:
            return {term.fills: value}


def _about(piece: Piece, *, in_stream: bool) -> dict[str, Any]:
    kind, slash, key = piece.value.partition("/")
    if not kind or (slash and not key):
        raise wrong(piece, f"not type/id: {piece.value}", "For example order/42, or order alone.")
    found: dict[str, Any] = {"aggregate_type": kind}
    if key:
        found["aggregate_id"] = key
    if in_stream:
        found["in_stream"] = True
    return found
