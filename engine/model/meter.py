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
from operator import attrgetter
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
    left: float
    handled: float
    failed: float


_time, _arrived = attrgetter("at"), attrgetter("arrived")


class Meter:
    """The history of one queue. Times are in seconds on any one clock."""

    def __init__(self) -> None:
        self._points: deque[Point] = deque()
        #: The steps that were asked for last, by the place of what was counted.
        self._known: dict[int, tuple[tuple[int, int, float, int], Sequence[float]]] = {}
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
        place = bisect_left(self._points, gone + 1e-9, key=_arrived)
        return Age(max(now - self._points[min(place, len(self._points) - 1)].at, 0.0))

    def series(self, what: str, now: float, step: float, count: int) -> list[float]:
        """Rates of `count` steps of `step` seconds, the newest last; what was not seen is 0.

        The newest is of the last `step` seconds; those before it begin at multiples of `step`, so that they stay
        what they are while time goes on.
        """
        if not self._points:
            return [0.0] * count
        place = Point._fields.index(what)
        newest = self._point(now)[place] - self._point(now - step)[place]
        return [*self._steps(place, math.floor(now / step), step, count - 1), max(newest, 0.0) / step]

    def _steps(self, place: int, last: int, step: float, count: int) -> Sequence[float]:
        """Rates of so many steps, which end with the one before `last`."""
        asked = (place, last, step, count)
        known = self._known.get(place)
        if known is not None and known[0] == asked:
            return known[1]
        totals = [self._point(number * step)[place] for number in range(last - count, last + 1)]
        rates = [max(after - before, 0.0) / step for before, after in pairwise(totals)]
        if last * step <= self._points[-1].at:  # no later sample changes them
            self._known[place] = asked, rates
        return rates

    def _point(self, when: float) -> Point:
        """What was counted until a moment; between two samples it is on the straight line."""
        points = self._points
        after = bisect_left(points, when, key=_time)
        if after == 0:
            return points[0]
        if after == len(points):
            return points[-1]
        first, last = points[after - 1], points[after]
        part = (when - first.at) / (last.at - first.at)
        return Point(*(before + (then - before) * part for before, then in zip(first, last, strict=True)))


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
