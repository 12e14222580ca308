"""What a secret looks like within a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final


class Pattern:
    """A regular expression that finds secrets: its first group that took part, else all it found.

    `check` has the last word on what was found. A text without any of `signs` holds none, which is quickly seen.
    """

    __slots__ = ("_check", "_expression", "_signs")

    def __init__(
        self, expression: re.Pattern[str], check: Callable[[str], bool] | None = None, *, signs: tuple[str, ...] = ()
    ) -> None:
        self._expression = expression
        self._check = check
        self._signs = signs

    def hide(self, text: str, hide: Callable[[Any], str]) -> str:
        """The text with what is found hidden."""
        if self._signs and not any(sign in text for sign in self._signs):
            return text

        def instead(found: re.Match[str]) -> str:
            group = found.lastindex or 0
            secret = found.group(group)
            if not secret or (self._check is not None and not self._check(secret)):
                return found.group()
            begin, end = found.start(group) - found.start(), found.end(group) - found.start()
            return found.group()[:begin] + hide(secret) + found.group()[end:]

        return self._expression.sub(instead, text)


def luhn(digits: str) -> bool:
    """Whether the check digit of a card number is right (ISO/IEC 7812)."""
    numbers = [int(digit) for digit in digits if digit.isdecimal()]
    doubled = (2 * number - 9 * (number > 4) for number in numbers[-2::-2])
    return (sum(numbers[-1::-2]) + sum(doubled)) % 10 == 0


def mod_97(iban: str) -> bool:
    """Whether the check digits of an IBAN are right (ISO 13616)."""
    plain = iban.replace(" ", "").upper()
    digits = "".join(str(int(character, 36)) for character in plain[4:] + plain[:4])
    return int(digits) % 97 == 1


#: Secrets that are known by their form.
PATTERNS: Final = (
    Pattern(re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(.+?)(?:-----END|\Z)", re.DOTALL), signs=("PRIVATE KEY",)),
    Pattern(re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]*:([^\s/@]+)@", re.IGNORECASE), signs=("://",)),
    Pattern(re.compile(r"\b(?:Bearer|Basic)\s+([A-Za-z0-9._~+/-]{8,}=*)", re.IGNORECASE)),
    Pattern(re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*"), signs=("eyJ",)),
    Pattern(re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), signs=("AKIA", "ASIA")),
    Pattern(
        re.compile(r"\b(?:sk|rk|pk)_(?:live|test)_\w{10,}|\bgh[oprsu]_\w{30,}|\bxox[abeprs]-[\w-]{10,}"),
        signs=("_", "xox"),
    ),
    # Card numbers by the first digits of those who issue them: a number of milliseconds is none.
    Pattern(
        re.compile(
            r"(?<![\w.-])(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|6011|65\d\d|64[4-9]\d|35\d\d)(?:[ -]?\d{4}){3}(?![\w-])"
            r"|(?<![\w.-])3[47]\d\d[ -]?\d{6}[ -]?\d{5}(?![\w-])"
            r"|(?<![\w.-])3[0689]\d\d[ -]?\d{6}[ -]?\d{4}(?![\w-])"
        ),
        luhn,
    ),
    Pattern(re.compile(r"\b[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), mod_97),
)


def labelled(names: Iterable[tuple[str, ...]]) -> Pattern:
    """What stands behind the name of a secret in a text: `password=…`, `"api_key": "…"`."""
    words = sorted({"[_ -]?".join(map(re.escape, name)) for name in names}, key=lambda each: (-len(each), each))
    if not words:
        return Pattern(re.compile(r"(?!)"))
    return Pattern(
        re.compile(
            rf"(?<![^\W_])(?:{'|'.join(words)})s?(?:[_-]\w{{1,20}})?[\"']?\s{{0,3}}[:=]\s{{0,3}}"
            r"(?:\"((?:[^\"\\]|\\.)+)\"|'([^']+)'|((?:Bearer |Basic )?[^\s,;&\"'{}\[\]()<>]+))",
            re.IGNORECASE,
        ),
        signs=(":", "="),
    )
