"""Series of numbers as lines of block characters: they need neither colour nor graphics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

#: Eighths of a cell, from nothing to full.
BLOCKS = " ▁▂▃▄▅▆▇█"


def fit(values: Sequence[float], width: int) -> list[float]:
    """The newest values in exactly `width` places: cut or filled with zeros at the left."""
    newest = list(values[-width:]) if width > 0 else []
    return [0.0] * (width - len(newest)) + [float(value) for value in newest]


@lru_cache(maxsize=4096)
def sparkline(values: tuple[float, ...], width: int, *, top: float | None = None) -> str:
    """A line of blocks, the newest at the right. `top` is what a full block stands for, by default the largest.

    What is above zero is never drawn as nothing.
    """
    return chart(values, width, 1, top=top)[0]


def chart(values: Sequence[float], width: int, height: int, *, top: float | None = None) -> list[str]:
    """Bars of blocks in `height` lines from the top down, the newest at the right."""
    shown = fit(values, width)
    most = max(shown, default=0.0) if top is None else top
    steps = height * (len(BLOCKS) - 1)
    bars = [_eighths(value, most, steps) for value in shown]
    full = len(BLOCKS) - 1
    return [
        "".join(BLOCKS[min(max(bar - full * (height - 1 - row), 0), full)] for bar in bars) for row in range(height)
    ]


def _eighths(value: float, most: float, steps: int) -> int:
    if value <= 0 or most <= 0:
        return 0
    return max(1, min(steps, round(value / most * steps)))


def since(values: Sequence[float], parts: int = 5) -> list[float]:
    """The newest values from the first that is not zero, in whole `parts` of their number: what is young is drawn large."""
    total = len(values)
    quiet = next((at for at, value in enumerate(values) if value > 0), total)
    part = max(math.ceil(total / parts), 1)
    kept = min(max(math.ceil((total - quiet) / part), 1) * part, total)
    return list(values[total - kept :])


def spread(values: Sequence[float], width: int) -> list[float]:
    """All values over exactly `width` places, from the first to the last: repeated where there are fewer than places."""
    if not values or width <= 0:
        return []
    if len(values) > width:
        return squeeze(values, width)
    return [values[place * len(values) // width] for place in range(width)]


def squeeze(values: Sequence[float], width: int) -> list[float]:
    """All values in at most `width` places: the mean of those that share one."""
    if len(values) <= width or width <= 0:
        return list(values)
    bounds = [round(place * len(values) / width) for place in range(width + 1)]
    return [sum(values[start:end]) / (end - start) for start, end in pairwise(bounds)]
