"""How often something is read again: by what reading takes, and not by what one read had to wait for."""

from __future__ import annotations

from monitor.source.pace import Pace
from monitor.source.source import LONGEST


class Clock:
    """Stands where it is put."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def read(pace: Pace, clock: Clock, seconds: float) -> None:
    with pace.reading():
        clock.now += seconds


def test_what_always_takes_long_is_read_seldom_and_one_slow_read_changes_nothing() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.due
    read(pace, clock, 0.5)  # the first is cold
    assert pace.due
    read(pace, clock, 0.001)
    read(pace, clock, 2.0)
    assert pace.due
    read(pace, clock, 2.0)
    assert not pace.due
    clock.now += LONGEST
    assert pace.due
    read(pace, clock, 2.0)
    pace.hurry()
    assert pace.due
