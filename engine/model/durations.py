"""Lengths of time as people write them: 250ms, 90s, 5m, 2h, 1d12h, 2w."""

from __future__ import annotations

import re

from engine.errors import ConfigurationError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")

#: The longest that is taken, in seconds: ten years.
LONGEST = 10 * 365 * 86400.0


def parse_duration(text: str) -> float:
    """The seconds that `text` stands for; a bare number is seconds. Raises `ConfigurationError`."""
    plain = text.strip().lower().replace(" ", "")
    try:
        seconds = float(plain)
    except ValueError:
        parts = _PART.findall(plain)
        if not parts or "".join(number + unit for number, unit in parts) != plain:
            raise _refused(text) from None
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds > LONGEST:
        raise ConfigurationError(f"{text.strip()} is too long", hint="No length of time is over ten years.")
    if not seconds >= 0:  # NaN neither
        raise _refused(text)
    return seconds


def format_duration(seconds: float) -> str:
    """The two largest units of it, as `parse_duration` reads them: 90061 is `1d1h`."""
    if seconds < 1:
        return f"{round(max(seconds, 0) * 1000)}ms"
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count}{unit}")
        if parts and (len(parts) == 2 or not count):
            break
    return "".join(parts) or "0s"


def _refused(text: str) -> ConfigurationError:
    return ConfigurationError(
        f"not a length of time: {text!r}",
        hint="Write a number and a unit, for example 250ms, 90s, 5m, 2h, 1d12h or 2w.",
    )
