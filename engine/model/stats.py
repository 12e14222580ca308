"""What a worker counts for each handler, and how long its handlers took."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

#: Upper bounds of the latency buckets in seconds: 0.1 ms, growing by a quarter, to about 20 minutes.
BOUNDS: tuple[float, ...] = tuple(0.0001 * 1.25**step for step in range(74))


class Histogram:
    """Counts of durations in buckets that grow by a quarter: a percentile is off by at most that.

    Histograms of several workers add up, which percentiles do not.
    """

    __slots__ = ("counts", "seconds")

    def __init__(self, counts: Sequence[int] = (), seconds: float = 0.0) -> None:
        #: The sum of what was counted; 0 where only the buckets were kept.
        self.seconds = seconds
        size = len(BOUNDS) + 1
        self.counts = [int(count) for count in counts[:size]] + [0] * (size - len(counts))

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def merge(self, other: Histogram) -> None:
        """Add the counts of another histogram to this one."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.seconds += other.seconds

    def percentile(self, fraction: float) -> float | None:
        """The duration in seconds that this fraction of all stayed below; None when nothing was counted."""
        total = sum(self.counts)
        if not total:
            return None
        rank, seen = fraction * total, 0
        for index, count in enumerate(self.counts):
            seen += count
            if count and seen >= rank:
                return BOUNDS[min(index, len(BOUNDS) - 1)]
        return BOUNDS[-1]


@dataclass(slots=True)
class Holds:
    """Sessions that a handler held for over a second: how many, and the seconds of the longest."""

    count: int = 0
    longest: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.count += 1
        self.longest = max(self.longest, seconds)


@dataclass(slots=True)
class HandlerStats:
    """Counters of one handler in one worker, since the worker started.

    `handled` and `dead` count messages, `failed` attempts. `duplicates` were handled before, `stale`
    have a successor on its way, `parked` were in another worker's hand.
    """

    handled: int = 0
    failed: int = 0
    retried: int = 0
    dead: int = 0
    duplicates: int = 0
    stale: int = 0
    parked: int = 0
    in_flight: int = 0
    latency: Histogram = field(default_factory=Histogram)
    holds: Holds = field(default_factory=Holds)

    def snapshot(self) -> HandlerStats:
        """A copy that later counting does not change."""
        return HandlerStats(
            self.handled,
            self.failed,
            self.retried,
            self.dead,
            self.duplicates,
            self.stale,
            self.parked,
            self.in_flight,
            Histogram(self.latency.counts, self.latency.seconds),
            Holds(self.holds.count, self.holds.longest),
        )


def total(many: Iterable[HandlerStats]) -> HandlerStats:
    """The sum of several workers' counters for one handler."""
    result = HandlerStats()
    for one in many:
        result.handled += one.handled
        result.failed += one.failed
        result.retried += one.retried
        result.dead += one.dead
        result.duplicates += one.duplicates
        result.stale += one.stale
        result.parked += one.parked
        result.in_flight += one.in_flight
        result.latency.merge(one.latency)
        result.holds = Holds(
            result.holds.count + one.holds.count, max(result.holds.longest, one.holds.longest)
        )  # fmt: skip
    return result
