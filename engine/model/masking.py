"""Hiding secrets where messages are shown; what is sent is never touched.

A field is a secret by its name (`password`, `cardNumber`, `card.number`), or because its text looks like one
(a bearer token, a card number, an IBAN, the password of a URL). In doubt it hides too much.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias

from engine.errors import DecodingError
from engine.model import json_text
from engine.model.difference import Change
from engine.model.json_text import Numeral
from engine.model.message import Headers, HeaderValue
from engine.model.secrets import PATTERNS, Pattern, labelled

#: What stands for a secret.
MASK: Final = "•••"

#: Names of fields that are secrets; words together, as they are told apart in `card_number` and `cardNumber`.
FIELDS: Final = (
    "password", "passwd", "pwd", "passphrase", "passcode", "secret", "token", "authorization", "auth", "api key",
    "access key", "private key", "encryption key", "credential", "cookie", "session id", "jwt", "bearer", "otp",
    "card number", "credit card", "pan", "cvv", "cvc", "security code", "pin", "iban", "account number",
    "routing number", "ssn", "social security", "tax id",
)  # fmt: skip

#: Stands in for a secret, given what it is.
Hide: TypeAlias = Callable[[Any], str]

#: Characters of a text whose masking is remembered.
SHORT: Final = 512
#: Characters of a text that are searched at once: nobody else runs meanwhile.
_CHUNK = 16 * 1024
_SPACE = re.compile(r"\s")

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")


def _mask(secret: Any) -> str:
    return MASK


class Masking:
    """What is hidden. `fields` are names besides `FIELDS`, or without one of them where they begin with `-`;
    `patterns` are regular expressions of secrets within texts: their first group, else all they find.
    """

    def __init__(self, fields: Sequence[str] = (), patterns: Sequence[str] = (), *, on: bool = True) -> None:
        dropped = {_words(name) for name in fields if name.startswith("-")}
        names = [*FIELDS, *(name for name in fields if not name.startswith("-"))]
        self.on = on
        self._names = frozenset(words for name in names if (words := _words(name)) and words not in dropped)
        self._longest = max(map(len, self._names), default=0)
        self._patterns: tuple[Pattern, ...] = (
            *(Pattern(re.compile(each)) for each in patterns),
            *PATTERNS,
            labelled(self._names),
        )
        self._secret = lru_cache(maxsize=4096)(self._names_one)
        #: The same rows are shown again and again.
        self._short = lru_cache(maxsize=4096)(partial(self._chunk, hide=_mask))

    def is_secret(self, *path: str) -> bool:
        """Whether a field of this name is one, seen together with the name of what it stands in."""
        return self.on and self._secret(tuple(path[-2:]))

    def text(self, text: str, hide: Hide = _mask) -> str:
        """A text, with what looks like a secret hidden."""
        if not self.on or not text:
            return text
        if hide is _mask and len(text) <= SHORT:
            return self._short(text)
        return "".join(self._chunk(chunk, hide) for chunk in _chunks(text))

    def value(self, value: Any, hide: Hide = _mask) -> Any:
        """A JSON value, with its secrets hidden."""
        return self._value(value, (), False, hide) if self.on else value

    def body(self, body: bytes) -> bytes:
        """A body, with the secrets hidden that it shows as JSON or as text."""
        if not self.on:
            return body
        try:
            value = json_text.parse(body)
        except DecodingError:
            try:
                return self.text(body.decode()).encode()
            except UnicodeDecodeError:
                return body
        return json_text.write(self.value(value)).encode()

    def headers(self, headers: Headers) -> dict[str, HeaderValue]:
        """Headers, with their secrets hidden."""
        if not self.on:
            return dict(headers)
        found: dict[str, HeaderValue] = self._value(dict(headers), (), False, _mask)
        return found

    def change(self, change: Change) -> Change:
        """A change, its values hidden where the field is a secret."""
        names = tuple(key for key in change.keys if isinstance(key, str))
        secret = any(self.is_secret(*names[: at + 1]) for at in range(len(names)))
        before, after = (self._value(each, names[-1:], secret, _mask) for each in (change.before, change.after))
        return change._replace(before=before, after=after) if self.on else change

    def _chunk(self, text: str, hide: Hide) -> str:
        for pattern in self._patterns:
            text = pattern.hide(text, hide)
        return text

    def _value(self, value: Any, path: tuple[str, ...], secret: bool, hide: Hide) -> Any:
        if isinstance(value, dict):
            return {
                name: self._value(item, (*path[-1:], name), secret or self.is_secret(*path, name), hide)
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [self._value(item, path, secret, hide) for item in value]
        if value is None or isinstance(value, bool) or value == "":
            return value
        if secret:
            return hide(value)
        if isinstance(value, str):
            return self.text(value, hide)
        if isinstance(value, int | Numeral):
            shown = value.text if isinstance(value, Numeral) else str(value)
            return value if self.text(shown) == shown else hide(value)
        return value

    def _names_one(self, path: tuple[str, ...]) -> bool:
        words = [word for name in path for word in _words(name)]
        own = len(_words(path[-1]))
        return any(
            tuple(words[at : at + length]) in self._names or "".join(words[at : at + length]) in self._joined
            for length in range(1, self._longest + 1)
            for at in range(len(words) - length + 1)
            if at + length > len(words) - own  # it reaches into the field's own name
        )

    @property
    def _joined(self) -> frozenset[str]:
        return _joined(self._names)


def _chunks(text: str) -> Iterator[str]:
    """The text in parts that a regular expression is quickly done with, cut where there is space if it has any."""
    at = 0
    while len(text) - at > _CHUNK:
        space = _SPACE.search(text, at + _CHUNK, at + 2 * _CHUNK)
        end = at + _CHUNK if space is None else space.end()
        yield text[at:end]
        at = end
    yield text[at:]


@lru_cache(maxsize=8)
def _joined(names: frozenset[tuple[str, ...]]) -> frozenset[str]:
    return frozenset("".join(name) for name in names)


@lru_cache(maxsize=4096)
def _words(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case and singular."""
    return tuple(_singular(word.lower()) for word in _WORD.findall(name))


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


#: Hides nothing.
UNMASKED: Final = Masking(on=False)
