"""The pace of an operation: how many messages it may send by now, at a set rate or on a ramp.

Times are seconds on whatever clock the caller has, counted from when it began to send.
"""

from __future__ import annotations

import math
from collections import deque

#: The first rate of a ramp in messages a second, by what it grows, and after how many seconds.
RAMP_START, RAMP_FACTOR, RAMP_STEP = 1.0, 10.0, 5.0
#: The last step of a ramp that leads to no set rate; after it there is no limit.
RAMP_END = 1000.0
#: Seconds of its rate that a sender who fell behind may catch up with at once.
CREDIT = 1.0
#: Messages that he may catch up with in any case: with less a slow rate loses what is due beside a whole one.
LEAST_CREDIT = 2.0
#: Seconds over which the present pace is measured.
WINDOW = 5.0


def rate_at(elapsed: float, rate: float | None, ramp: bool) -> float:
    """Messages a second that are allowed `elapsed` seconds after the beginning; infinite without a limit."""
    limit = math.inf if rate is None else rate
    if not ramp:
        return limit
    step = RAMP_START * RAMP_FACTOR ** min(max(elapsed, 0.0) // RAMP_STEP, 12)
    return limit if rate is None and step > RAMP_END else min(step, limit)


class Pacer:
    """Says how many messages are due. A sender that fell behind catches up with a second's worth, no more."""

    def __init__(self, rate: float | None, ramp: bool) -> None:
        self._rate = rate
        self._ramp = ramp
        self._seen = 0.0
        self._credit = 1.0

    def due(self, elapsed: float) -> int | None:
        """How many messages may be sent now; None for any number."""
        while self._seen < elapsed:
            rate = rate_at(self._seen, self._rate, self._ramp)
            if math.isinf(rate):
                return None
            until = min(elapsed, self._turn(self._seen)) if self._ramp else elapsed
            self._credit = min(self._credit + rate * (until - self._seen), max(rate * CREDIT, LEAST_CREDIT))
            self._seen = until
        if math.isinf(rate_at(elapsed, self._rate, self._ramp)):
            return None
        return math.floor(self._credit + 1e-9)

    def sent(self, count: int) -> None:
        """So many were sent."""
        self._credit -= count

    def wait(self, elapsed: float) -> float:
        """Seconds until the next message is due, at the present rate."""
        rate = rate_at(elapsed, self._rate, self._ramp)
        return 0.0 if math.isinf(rate) else max((1.0 - self._credit) / rate, 0.0)

    @staticmethod
    def _turn(elapsed: float) -> float:
        """When the next step of the ramp begins."""
        return (elapsed // RAMP_STEP + 1) * RAMP_STEP


class Meter:
    """How many messages a second were sent over the last `WINDOW` seconds."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()
        self._total = 0

    def sent(self, count: int, now: float) -> float:
        """So many were sent now; messages a second of late."""
        if not self._marks:
            self._marks.append((now, 0))
        self._total += count
        self._marks.append((now, self._total))
        while len(self._marks) > 2 and self._marks[1][0] < now - WINDOW:
            self._marks.popleft()
        begun, before = self._marks[0]
        return (self._total - before) / (now - begun) if now > begun else 0.0
