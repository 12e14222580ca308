"""How fast a queue moves, reckoned from what is counted anyway: depths and the workers' counters.

A meter is fed with samples. What left the queue is the sum of what the counters of all workers grew by; what
came in is what left and by how much more waits now. Retries, which leave and come again, count both times.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from engine.model.stats import HandlerStats

#: Seconds of history that are kept.
KEPT = 900.0
#: Seconds over which a rate is taken: shorter, and the second in which workers report would show.
WINDOW = 10.0
#: Seconds of history that a rate needs at least.
LEAST = 1.5


class Rates(NamedTuple):
    """Messages a second; None while nothing is known yet. `failed` counts attempts."""

    arrived: float | None = None
    left: float | None = None
    handled: float | None = None
    failed: float | None = None


class Age(NamedTuple):
    """How long the oldest message has waited, in seconds; with `at_least` it was there when the meter began."""

    seconds: float
    at_least: bool = False


class Point(NamedTuple):
    """What was counted from the meter's beginning until a moment."""

    at: float
    arrived: float
    left: int
    handled: int
    failed: int


class Meter:
    """The history of one queue. Times are in seconds on any one clock."""

    def __init__(self) -> None:
        self._points: deque[Point] = deque()
        self._before: dict[str, HandlerStats] | None = None
        self._first_waiting: int | None = None
        self._waiting: int | None = None

    def feed(self, at: float, waiting: int | None, counters: Mapping[str, HandlerStats], counted: float) -> None:
        """A sample: what waits or is in hand (None: unknown), and each worker's counters as written at `counted`.

        A worker that was not there in the sample before has begun since: all it counted is new.
        """
        before, self._before = self._before, dict(counters)
        last = self._points[-1] if self._points else None
        if waiting is not None:
            if self._first_waiting is None:
                self._first_waiting = waiting
            self._waiting = waiting
        if before is None or last is None:
            self._points.append(Point(at, 0.0, 0, 0, 0))
            return
        grown = [_grown(before.get(worker), now) for worker, now in counters.items()]
        left, handled, failed = (sum(one[place] for one in grown) for place in range(3))
        # Counters are written a while before they are read: then they stand for that time.
        when = min(max(counted, last.at), at) if left or failed else at
        if when <= last.at:
            when = at
        if when <= last.at:
            return
        known = self._waiting is not None and self._first_waiting is not None
        change = self._waiting - self._first_waiting if known else 0  # type: ignore[operator]
        total_left = last.left + left
        arrived = max(float(total_left + change), last.arrived)
        self._points.append(Point(when, arrived, total_left, last.handled + handled, last.failed + failed))
        while self._points[-1].at - self._points[0].at > KEPT:
            self._points.popleft()

    def rates(self, window: float = WINDOW) -> Rates:
        """The rates of the last `window` seconds."""
        if not self._points:
            return Rates()
        last = self._points[-1]
        first = next((point for point in reversed(self._points) if last.at - point.at >= window), self._points[0])
        seconds = last.at - first.at
        if seconds < LEAST:
            return Rates()
        return Rates(
            (last.arrived - first.arrived) / seconds if self._waiting is not None else None,
            (last.left - first.left) / seconds,
            (last.handled - first.handled) / seconds,
            (last.failed - first.failed) / seconds,
        )

    def oldest(self, now: float) -> Age | None:
        """How long the first in the queue has waited: it came when as many had come as have left by now.

        None when nothing waits, or nothing is known.
        """
        if not self._waiting or not self._points:
            return None
        gone = self._points[-1].left - (self._first_waiting or 0)
        if gone < 0:  # not even those that waited at first have left
            return Age(now - self._points[0].at, at_least=True)
        arrivals = [point.arrived for point in self._points]
        place = bisect_left(arrivals, gone + 1e-9)
        return Age(max(now - self._points[min(place, len(arrivals) - 1)].at, 0.0))

    def series(self, what: str, now: float, step: float, count: int) -> list[float]:
        """Rates of the last `count` steps of `step` seconds, the newest last; what was not seen is 0."""
        points = list(self._points)
        if not points:
            return [0.0] * count
        place = Point._fields.index(what)
        times = [point.at for point in points]
        edges = [now - step * back for back in range(count, -1, -1)]
        totals = [_at(times, points, place, edge) for edge in edges]
        return [max(after - before, 0.0) / step for before, after in pairwise(totals)]


def lag(waiting: int | None, left: float | None) -> float | None:
    """Seconds until what waits is handled at this rate: infinite when nothing moves, None when nobody knows."""
    if waiting is None or (left is None and waiting):
        return None
    if not waiting:
        return 0.0
    return waiting / left if left else math.inf


def _grown(before: HandlerStats | None, now: HandlerStats) -> tuple[int, int, int]:
    """What left the queue, was handled, and failed, between two reports of one worker."""
    old = before or HandlerStats()
    left = _left(now) - _left(old)
    return max(left, 0), max(now.handled - old.handled, 0), max(now.failed - old.failed, 0)


def _left(stats: HandlerStats) -> int:
    return stats.handled + stats.dead + stats.retried + stats.duplicates + stats.stale + stats.parked


def _at(times: Sequence[float], points: Sequence[Point], place: int, when: float) -> float:
    """A count at a moment, in between on the straight line."""
    after = bisect_left(times, when)
    if after == 0:
        return float(points[0][place])
    if after == len(times):
        return float(points[-1][place])
    first, last = points[after - 1], points[after]
    part = (when - first.at) / (last.at - first.at)
    return float(first[place] + (last[place] - first[place]) * part)
