"""Numbers as an operator reads them at a glance: short, and as wide as their column."""

from __future__ import annotations

import math

#: What stands for a figure that nobody knows.
UNKNOWN = "–"


def count(number: int | None) -> str:
    """A whole number; from 100,000 on in thousands or millions: `1,204`, `134k`, `2.1M`."""
    if number is None:
        return UNKNOWN
    if abs(number) < 100_000:
        return f"{number:,}"
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if abs(number) >= size:
            scaled = number / size
            return f"{scaled:.1f}{unit}" if abs(scaled) < 10 else f"{math.floor(scaled):,}{unit}"
    return f"{number:,}"


def rate(a_second: float | None) -> str:
    """Events a second: `0`, `0.3`, `42`, `1.2k`. The column says the unit."""
    if a_second is None:
        return UNKNOWN
    if a_second < 0.05:
        return "0"
    if a_second < 9.95:
        return f"{a_second:.1f}"
    return count(round(a_second)) if a_second < 1000 else f"{a_second / 1000:.1f}k"


def age(seconds: float | None) -> str:
    """A length of time in its largest unit, for a narrow column: `now`, `8s`, `3m`, `5h`, `12d`."""
    if seconds is None:
        return UNKNOWN
    if seconds < 1:
        return "now"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units: `3m12s`, `5h2m`."""
    if seconds is None:
        return UNKNOWN
    from engine.operations.durations import format_duration

    return format_duration(seconds)


def latency(seconds: float | None) -> str:
    """How long a handler took: `0.4ms`, `12ms`, `1.3s`, `2m`."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0.01:
        return f"{seconds * 1000:.1f}ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.1f}s" if seconds < 60 else age(seconds)


def counted(number: int, word: str, *, more: bool = False) -> str:
    """A count with its noun: `1 message`, `1,200 messages`, and where there are `more`: `300+ messages`."""
    return f"{number:,}{'+' * more} {word}{'' if number == 1 and not more else 's'}"
