"""Fault points for tests: make a worker crash, or wait, at a named point of a message's life.

    WARREN_CRASH_AT=committed:3 warren worker   # killed the third time it gets there

In a test: `with at_point("claimed", action):`. The points are listed in `engine.runtime.points`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.errors import ConfigurationError
from engine.runtime import points


@contextmanager
def at_point(point: str, action: Callable[[], None]) -> Iterator[None]:
    """Run `action` each time this process reaches the point."""
    _check(point)
    before = points.hook

    def hook(reached: str) -> None:
        if before is not None:
            before(reached)
        if reached == point:
            action()

    points.hook = hook
    try:
        yield
    finally:
        points.hook = before


def kill_at(point: str, times: int = 1) -> None:
    """From now on, kill this process as `kill -9` does when it reaches the point for the nth time."""
    _check(point)
    left = times

    def hook(reached: str) -> None:
        nonlocal left
        if reached == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    points.hook = hook


def kill_as_told() -> None:
    """Do what the environment says in `WARREN_CRASH_AT` (a point, and `:n` for the nth time)."""
    told = os.environ.get("WARREN_CRASH_AT")
    if told:
        point, _, times = told.partition(":")
        kill_at(point, int(times or 1))


def _check(point: str) -> None:
    if point not in points.POINTS:
        raise ConfigurationError(f"There is no point {point!r}", hint=f"There are: {', '.join(points.POINTS)}.")
