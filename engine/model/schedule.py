"""When a schedule ticks, and which of its ticks are due. Pure: the present is always handed in.

A schedule is a set of moments, fixed once and for all by its text: whoever computes it, and
from wherever he starts, finds the same ticks. So an event that is named after its tick is
the same event on every worker.

Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from engine.errors import ConfigurationError
from engine.model.durations import format_duration, parse_duration

#: What cron calls by a name.
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
#: Seconds that a tick may be late and still be on time.
ON_TIME = 60.0
#: Seconds that a clock may run backwards before the last tick is taken for a mistake of the clock.
BACKWARDS = 60.0
#: Missed ticks that are due at a time; there may be more after them.
MOST = 100


class Missed(StrEnum):
    """What becomes of ticks at which no worker was there."""

    #: None of them fires.
    SKIP = "skip"
    #: The newest of them fires.
    LAST = "last"
    #: Each of them fires, the oldest first.
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Every:
    """Ticks at the multiples of `seconds` since the epoch, so every 5 minutes is at :00, :05, :10 UTC."""

    seconds: int

    def after(self, moment: float) -> float:
        """The first tick later than this moment."""
        return float((math.floor(moment / self.seconds) + 1) * self.seconds)

    @property
    def zone(self) -> tzinfo:
        """The zone in which a tick is told to the function."""
        return UTC

    @property
    def timezone(self) -> str:
        """The name of that zone."""
        return "UTC"

    def __str__(self) -> str:
        shown = format_duration(self.seconds)
        exact = self.seconds >= 60 and parse_duration(shown) == self.seconds
        return f"every {shown if exact else f'{self.seconds}s'}"


@dataclass(frozen=True, slots=True)
class Cron:
    """Ticks at the times of a cron expression in a time zone, as Debian's cron has them.

    When clocks go forward, what fell into the hour that is missing ticks right after it. When they go back,
    a fixed time ticks once, in the first of the two hours; what ticks every hour or minute goes on doing so.
    """

    expression: str
    zone: ZoneInfo

    def after(self, moment: float) -> float:
        """The first tick later than this moment; infinity when there is none within 50 years."""
        for tick in self._from(moment):
            if tick > moment:
                return tick
        return math.inf

    def _from(self, moment: float) -> Iterator[float]:
        start = datetime.fromtimestamp(math.floor(moment), self.zone)
        # In the second of two like hours the library may begin with ticks of the first.
        return (each.timestamp() for each in CronSim(self.expression, start))

    @property
    def timezone(self) -> str:
        """The name of its zone."""
        return self.zone.key

    def __str__(self) -> str:
        return self.expression


Timing: TypeAlias = Every | Cron


class Due(NamedTuple):
    """The ticks to fire now, the oldest first, and up to where the schedule is settled after them."""

    ticks: tuple[float, ...]
    last: float


def due(timing: Timing, last: float, now: float, missed: Missed) -> Due:
    """What is due now of a schedule that is settled up to `last`.

    A clock that was set back by up to a minute repeats nothing and waits. If by more, the
    schedule goes on from now: the ids of repeated ticks are those of the first time.
    """
    if last > now:
        return Due((), now if last - now > BACKWARDS else last)
    if missed is Missed.ALL:
        ticks = tuple(_ticks(timing, last, now))
        return Due(ticks, ticks[-1] if ticks else last)
    newest = latest(timing, last, now)
    if newest is None:
        return Due((), last)
    fires = missed is Missed.LAST or now - newest <= ON_TIME
    return Due((newest,) if fires else (), newest)


def latest(timing: Timing, after: float, now: float) -> float | None:
    """The newest tick later than `after` and not later than `now`."""
    window = ON_TIME
    while True:
        # Looked for near the present first: a schedule that slept for a year has many ticks.
        start = max(after, now - window)
        found, tick = None, timing.after(start)
        while tick <= now:
            found, tick = tick, timing.after(tick)
        if found is not None or start == after:
            return found
        window *= 4


def _ticks(timing: Timing, last: float, now: float) -> Iterator[float]:
    tick = timing.after(last)
    for _ in range(MOST):
        if tick > now:
            return
        yield tick
        tick = timing.after(tick)


def told(timing: Timing, tick: float) -> datetime:
    """A tick as a datetime in the zone of its schedule."""
    return datetime.fromtimestamp(tick, timing.zone)


def event_id(name: str, tick: float) -> str:
    """The id of the event of a tick: the same on every worker, and at every try."""
    return f"{name}@{datetime.fromtimestamp(tick, UTC):%Y-%m-%dT%H:%M:%SZ}"


def read_every(interval: str | float) -> Every:
    """An interval as `5m` or in seconds. Raises `ConfigurationError`."""
    seconds = parse_duration(interval) if isinstance(interval, str) else float(interval)
    if not math.isfinite(seconds) or seconds < 1 or seconds != int(seconds):
        raise ConfigurationError(f"every {interval!r} is not a whole number of seconds from 1 on")
    return Every(int(seconds))


def read_cron(expression: str, timezone: str = "UTC") -> Cron:
    """A cron expression of five fields, or one of `ALIASES`, in an IANA time zone. Raises `ConfigurationError`."""
    plain = " ".join(ALIASES.get(expression.strip().lower(), expression).split())
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):  # not found is a KeyError
        raise ConfigurationError(
            f"there is no time zone {timezone!r}", hint='Use a name of the IANA database, such as "Europe/Berlin".'
        ) from None
    if len(plain.split()) != 5:
        raise ConfigurationError(
            f"the cron expression {expression!r} has not five fields",
            hint='They are minute, hour, day of month, month, day of week, as "0 3 * * 1-5". For seconds use @every.',
        )
    try:
        first = next(CronSim(plain, datetime(2000, 1, 1, tzinfo=UTC)), None)
    except (CronSimError, AssertionError) as error:
        raise ConfigurationError(f"the cron expression {expression!r} is wrong: {error}") from None
    if first is None:
        raise ConfigurationError(f"the cron expression {expression!r} never comes true")
    return Cron(plain, zone)
