"""A clock for tests: it stands still until it is moved."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from engine.errors import UsageError
from engine.runtime import clock


class Clock:
    """Seconds since the epoch, UTC. Begins at `start`, by default the present whole second."""

    def __init__(self, start: datetime | float | None = None) -> None:
        if isinstance(start, datetime):
            if start.tzinfo is None:
                raise UsageError(f"the clock's start {start} names no time zone", hint="Write tzinfo=UTC.")
            start = start.timestamp()
        self._now = float(int(time.time())) if start is None else float(start)
        self._installed = 0

    def now(self) -> float:
        """The present."""
        return self._now

    def utc(self) -> datetime:
        """The present, as a datetime in UTC."""
        return datetime.fromtimestamp(self._now, UTC)

    def move_to(self, moment: float) -> None:
        """Make it that moment; never earlier than it is already."""
        self._now = max(self._now, moment)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within it this is the clock of all that Warren runs in this process.

        Raises `UsageError` where another one is installed.
        """
        if not self._installed and clock.now is not time.time:
            raise UsageError(
                "two harnesses with two clocks are open at a time", hint="Give both the same: Harness(…, clock=clock)."
            )
        clock.now = self.now
        self._installed += 1
        try:
            yield
        finally:
            self._installed -= 1
            if not self._installed:
                clock.now = time.time
