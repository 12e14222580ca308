"""Garbage collection that nobody waits for."""

from __future__ import annotations

import gc
from time import monotonic

#: Seconds between two full collections, and how long nobody may have touched anything before one.
PERIOD, IDLE = 300.0, 10.0
#: Full collections by themselves: as good as never.
NEVER = 1_000_000


def settle() -> None:
    """From now on collect what is young as usual, and look through everything only when `Rest` says so.

    That takes 0.1 s, in which no key is answered. What was imported so far is left out for good.
    """
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, NEVER)
    gc.freeze()
    gc.enable()


class Rest:
    """Knows when somebody last touched a key or the mouse."""

    def __init__(self) -> None:
        self._touched = monotonic()

    def touched(self) -> None:
        """Somebody is at work."""
        self._touched = monotonic()

    def collect(self) -> None:
        """Collect everything, if nobody would notice."""
        if monotonic() - self._touched >= IDLE:
            gc.collect()
