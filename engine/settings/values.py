"""What each setting may be. A value comes typed from TOML or a caller, or as text from the environment."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from engine.errors import ConfigurationError
from engine.settings.urls import broker_url, database_url

#: Reads a value: what it is, where it comes from (for errors), and the folder of relative paths.
Read: TypeAlias = Callable[[Any, str, Path], Any]

_APP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
#: The smallest and the largest size of a stream, in bytes.
MIN_STREAM, MAX_STREAM = 1_000_000, 10**15
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def is_app(name: str) -> bool:
    """Whether queues can be named after it."""
    return _APP.fullmatch(name) is not None


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{where} is {type(value).__name__}, not a string")
    return value.strip()


def _app(value: Any, where: str, _base: Path) -> str:
    text = _text(value, where)
    if not is_app(text):
        raise ConfigurationError(
            f"{where}={text[:120]!r} cannot begin the names of queues",
            hint="Use up to 100 letters, digits, dots, dashes and underscores, such as shop.",
        )
    return text


def _exchange(value: Any, where: str, _base: Path) -> str:
    text = _text(value, where)
    if not text or not text.isprintable() or len(text.encode()) > 255:
        raise ConfigurationError(f"{where} is not the name of an exchange", hint='It has 1 to 255 bytes, as "events".')
    return text


def _broker(value: Any, where: str, base: Path) -> str:
    return broker_url(_text(value, where), where, base)


def _database(value: Any, where: str, base: Path) -> str:
    text = _text(value, where)
    return database_url(text, where, base) if text else ""


def _plugins(value: Any, where: str, _base: Path) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) and name for name in value):
        raise ConfigurationError(
            f"{where} is not a list of names", hint='For example plugins = ["shop.handlers", "jobs/nightly.py"].'
        )
    return tuple(value)


def _patterns(value: Any, where: str, _base: Path) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)) or not all(isinstance(pattern, str) and pattern for pattern in value):
        raise ConfigurationError(
            f"{where} is not a list of topic patterns", hint='For example journal = ["order.*", "payment.#"].'
        )
    return tuple(dict.fromkeys(value))


def _field_names(value: Any, where: str, _base: Path) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) and name.strip("-") for name in value):
        raise ConfigurationError(
            f"{where} is not a list of names", hint='For example mask_fields = ["ssn", "-token"]; a - takes one away.'
        )
    return tuple(dict.fromkeys(value))


def _expressions(value: Any, where: str, _base: Path) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]  # one, for a comma may stand in it
    if not isinstance(value, (list, tuple)) or not all(isinstance(pattern, str) and pattern for pattern in value):
        raise ConfigurationError(
            f"{where} is not a list of regular expressions", hint=r"For example mask_patterns = ['\bEMP-\d{6}\b']."
        )
    for pattern in value:
        try:
            found = re.compile(pattern)
        except re.error as error:
            raise ConfigurationError(f"{where}: {pattern!r} is no regular expression: {error}") from None
        if found.match(""):
            raise ConfigurationError(
                f"{where}: {pattern!r} also finds nothing at all", hint="Let it ask for a character."
            )
    return tuple(value)


def _number(value: Any, where: str) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            value = math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigurationError(f"{where} is not a number")
    return float(value)


def _bytes(value: Any, where: str, _base: Path) -> int:
    number = _number(value, where)
    if number != int(number) or not 1 <= number <= 128 * 1024 * 1024:
        raise ConfigurationError(f"{where}={number:g} is not a whole number of bytes up to 128 MiB")
    return int(number)


def _seconds(value: Any, where: str, _base: Path) -> float:
    number = _number(value, where)
    if number < 0:
        raise ConfigurationError(f"{where}={number:g} is below 0 seconds")
    return number


def _days(value: Any, where: str, _base: Path) -> float:
    number = _number(value, where)
    if not 1 <= number <= 36500:
        raise ConfigurationError(f"{where}={number:g} is not a number of days from 1 on")
    return number


def _days_by_pattern(value: Any, where: str, base: Path) -> Mapping[str, float]:
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        value = {pattern.strip(): days for pattern, _, days in pairs}
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"{where} is not a table of days by topic pattern",
            hint='For example event_retention_of = { "audit.#" = 3650, "sensor.*" = 2 }.',
        )
    return {str(pattern): _days(days, f"{where}: {pattern}", base) for pattern, days in value.items()}


def _size(value: Any, where: str, _base: Path) -> int:
    number = _number(value, where)
    if number != int(number) or not MIN_STREAM <= number <= MAX_STREAM:
        raise ConfigurationError(
            f"{where}={number:g} is not a whole number of bytes from 1 MB on",
            hint="For example 50_000_000_000 (50 GB).",
        )
    return int(number)


def _count(value: Any, where: str, _base: Path) -> int:
    number = _number(value, where)
    if number != int(number) or not 0 <= number <= 1_000_000:
        raise ConfigurationError(f"{where}={number:g} is not a whole number from 0 to 1,000,000")
    return int(number)


def _flag(value: Any, where: str, _base: Path) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in (*_TRUE, *_FALSE):
        return value.strip().lower() in _TRUE
    raise ConfigurationError(f"{where} is neither true nor false")


def _management(value: Any, where: str, _base: Path) -> str:
    text = _text(value, where)
    if text in ("", "off") or text.startswith(("http://", "https://")):
        return text
    raise ConfigurationError(
        f"{where} is neither an http:// or https:// URL nor off",
        hint="For example http://user:password@rabbit-1:15672 (management) or http://rabbit-1:15692 (Prometheus).",
    )


def _table(value: Any, where: str, _base: Path) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where} is not a table", hint="It stands in the file: [tool.warren.monitor].")
    return dict(value)


def _choice(*known: str) -> Read:
    def read(value: Any, where: str, _base: Path) -> str:
        text = _text(value, where).lower()
        if text not in known:
            raise ConfigurationError(f"{where}={text[:40]!r} is unknown", hint=f"Use one of {', '.join(known)}.")
        return text

    return read


#: The settings by name. Each is also an environment variable `WARREN_<NAME>`.
FIELDS: Mapping[str, Read] = {
    "app": _app,
    "broker": _broker,
    "database": _database,
    "exchange": _exchange,
    "plugins": _plugins,
    "max_body": _bytes,
    "drain_timeout": _seconds,
    "retention": _days,
    "event_log": _flag,
    "event_retention": _days,
    "event_retention_of": _days_by_pattern,
    "journal": _patterns,
    "journal_to": _choice("database", "stream"),
    "stream_retention": _days,
    "stream_max_bytes": _size,
    "circuit": _count,
    "traces": _flag,
    "migrate": _flag,
    "read_only": _flag,
    "mask": _flag,
    "mask_fields": _field_names,
    "mask_patterns": _expressions,
    "log_level": _choice("debug", "info", "warning", "error", "critical"),
    "log_format": _choice("auto", "console", "json"),
    "management": _management,
    "monitor": _table,
}
