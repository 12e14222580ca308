"""How often something is read again, by what the reading takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from monitor.source.source import pause


class Pace:
    """A read that takes long is repeated less often, so that looking takes no more than its share of a core."""

    def __init__(self) -> None:
        self._next = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time."""
        return monotonic() >= self._next

    def hurry(self) -> None:
        """The next one is due at once."""
        self._next = 0.0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Measures a read."""
        begun = monotonic()
        yield
        now = monotonic()
        # Those that are quick are read at each refresh, which has its own interval.
        self._next = now + pause(0.0, now - begun) if now - begun > 0.02 else 0.0
