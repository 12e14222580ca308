"""How often something is read again, by what the reading takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from monitor.source.source import SHARE, pause

#: Seconds that a read may take which is repeated at each refresh, once a second.
QUICK = SHARE


class Pace:
    """A read that takes long is repeated less often, so that looking takes no more than its share of a core.

    It goes by the quicker of the last two: one that had to wait for others says little.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._next = 0.0
        self._before = 0.0  # the first one is cold

    @property
    def due(self) -> bool:
        """Whether it is time."""
        return self._clock() >= self._next

    def hurry(self) -> None:
        """The next one is due at once."""
        self._next = 0.0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Measures a read."""
        begun = self._clock()
        yield
        now = self._clock()
        took, self._before = min(now - begun, self._before), now - begun
        # Those that are quick are read at each refresh, which has its own interval.
        self._next = now + pause(0.0, took) if took > QUICK else 0.0
