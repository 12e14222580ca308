"""The filter of the audit: `action:`, `who:`, `newer:`, `older:`, and words that are looked for in why and what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from engine import ConfigurationError, FilterError
from engine.operations.durations import parse_duration

TERMS = ("action", "who", "newer", "older")


class Wanted(NamedTuple):
    """Which entries are meant; what is None does not matter. Times in seconds since the epoch."""

    action: str | None = None
    who: str | None = None
    text: str | None = None
    since: float | None = None
    until: float | None = None


def parse(text: str, now: float) -> Wanted:
    """What is typed as a filter; ages are reckoned from `now`. Raises `FilterError`."""
    found: dict[str, str | float] = {}
    words: list[str] = []
    for column, term in _terms(text):
        name, colon, value = term.partition(":")
        if not colon:
            words.append(term)
        elif name not in TERMS:
            hint = f"There are: {', '.join(f'{known}:' for known in TERMS)}, and words."
            raise FilterError(f"there is no term {name!r}", hint=hint, column=column, width=len(name))
        elif not value:
            raise FilterError(
                f"{name}: of what?", hint="A * at the end stands for anything.", column=column, width=len(term)
            )
        elif name in ("action", "who"):
            found[name] = value
        else:
            found["since" if name == "newer" else "until"] = now - _age(value, column + len(name) + 1)
    if words:
        found["text"] = " ".join(words)
    return Wanted(**found)  # type: ignore[arg-type]


def _terms(text: str) -> Iterator[tuple[int, str]]:
    """Terms and where they begin; quotes hold one together."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        start, quoted, piece = at, False, ""
        while at < len(text) and (quoted or not text[at].isspace()):
            if text[at] == '"':
                quoted = not quoted
            else:
                piece += text[at]
            at += 1
        if quoted:
            raise FilterError("the quote does not end", hint="", column=start, width=at - start)
        yield start, piece


def _age(text: str, column: int) -> float:
    try:
        return parse_duration(text)
    except ConfigurationError as error:
        raise FilterError(error.message, hint=error.hint, column=column, width=len(text)) from None
