"""The meter of a queue: what came and left, by depths and counters, and what was seen is not told otherwise later."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.meter import LEAST, Meter, lag
from engine.model.stats import HandlerStats

STEP, STEPS = 5.0, 12
#: Seconds between two samples, messages handled in them, and messages that came.
SAMPLES = st.lists(st.tuples(st.floats(0.3, 4.0), st.integers(0, 200), st.integers(0, 200)), min_size=3, max_size=60)


class Queue:
    """A queue that is handled and filled as told, and the meter that watches it."""

    def __init__(self, waiting: int = 0) -> None:
        self.now, self.waiting, self.handled, self.came = 1000.0, waiting, 0, 0
        self.meter = Meter()
        self.sample()

    def sample(self) -> None:
        counters = {"w": HandlerStats(handled=self.handled)}
        self.meter.feed(self.now, self.waiting, counters, self.now)

    def go_on(self, seconds: float, handled: int, came: int) -> None:
        handled = min(handled, self.waiting + came)
        self.now += seconds
        self.waiting += came - handled
        self.handled += handled
        self.came += came
        self.sample()

    def series(self, what: str, count: int = STEPS) -> list[float]:
        return self.meter.series(what, self.now, STEP, count)


@given(SAMPLES)
def test_rates_add_up_to_what_was_counted(samples: list[tuple[float, int, int]]) -> None:
    queue = Queue()
    for sample in samples:
        queue.go_on(*sample)
    rates = queue.meter.rates(window=math.inf)
    seconds = queue.now - 1000.0
    if seconds < LEAST:
        assert rates.left is None
        return
    assert rates.left == pytest.approx(queue.handled / seconds)
    assert rates.arrived == pytest.approx(queue.came / seconds)


@given(SAMPLES)
def test_the_steps_of_a_series_add_up_and_stay_what_they_are(samples: list[tuple[float, int, int]]) -> None:
    """All but the newest, which is of the last seconds."""
    queue = Queue()
    long = 100
    before: dict[int, float] = {}
    for sample in samples:
        queue.go_on(*sample)
        last = math.floor(queue.now / STEP)
        steps = queue.series("left", long)[:-1]
        now = {last - len(steps) + at: rate for at, rate in enumerate(steps)}
        for number, rate in before.items():
            if number in now:
                assert now[number] == pytest.approx(rate)
        before = now
        counted = queue.meter._point(last * STEP).left
        assert sum(steps) * STEP == pytest.approx(counted)


@given(SAMPLES, st.floats(0.0, 4.9))
def test_a_series_is_the_same_asked_once_or_again_and_again(samples: list[tuple[float, int, int]], late: float) -> None:
    asked, fresh = Queue(3), Queue(3)
    for sample in samples:
        for queue in (asked, fresh):
            queue.go_on(*sample)
        for what in ("arrived", "left", "failed"):
            asked.meter.series(what, asked.now + late, STEP, STEPS)  # also of a moment of which no sample tells yet
    for what in ("arrived", "left", "failed"):
        assert asked.series(what) == pytest.approx(fresh.series(what))


def test_the_newest_step_tells_at_once_what_goes_on() -> None:
    queue = Queue(1000)
    for _ in range(3):
        queue.go_on(1.0, 50, 0)
    assert queue.series("left")[-1] == pytest.approx(150 / STEP)
    for _ in range(10):
        queue.go_on(1.0, 50, 0)
    assert queue.series("left")[-3:] == pytest.approx([50.0, 50.0, 50.0])


def test_nothing_was_seen_before_the_beginning() -> None:
    assert Meter().series("left", 1000.0, STEP, STEPS) == [0.0] * STEPS
    assert Queue(5).series("left") == [0.0] * STEPS


@given(st.lists(st.integers(1, 20), min_size=2, max_size=20))
def test_the_oldest_is_as_old_as_the_sample_that_brought_it(coming: list[int]) -> None:
    """Nobody handles anything: it is the first that came."""
    queue = Queue()
    for came in coming:
        queue.go_on(1.0, 0, came)
    oldest = queue.meter.oldest(queue.now)
    assert oldest is not None
    assert (oldest.seconds, oldest.at_least) == (pytest.approx(len(coming) - 1.0), False)


def test_what_waited_before_the_meter_began_is_at_least_as_old_as_that() -> None:
    queue = Queue(10)
    queue.go_on(2.0, 4, 0)
    oldest = queue.meter.oldest(queue.now)
    assert oldest is not None
    assert (oldest.seconds, oldest.at_least) == (2.0, True)
    queue.go_on(2.0, 6, 0)
    assert queue.meter.oldest(queue.now) is None


def test_a_worker_that_begins_anew_takes_nothing_back() -> None:
    meter = Meter()
    meter.feed(0.0, 5, {"a": HandlerStats(handled=100)}, 0.0)
    meter.feed(2.0, 5, {"a": HandlerStats(handled=3)}, 2.0)
    meter.feed(4.0, 5, {"a": HandlerStats(handled=7), "b": HandlerStats(handled=2)}, 4.0)
    assert meter.rates(window=math.inf).left == pytest.approx(6 / 4.0)
    assert all(after >= before for before, after in pairwise(point.left for point in meter._points))


@pytest.mark.parametrize(
    ("waiting", "left", "expected"),
    [(None, 1.0, None), (0, None, 0.0), (5, None, None), (5, 0.0, math.inf), (6, 2.0, 3.0)],
)
def test_the_lag_is_what_the_present_rate_needs(
    waiting: int | None, left: float | None, expected: float | None
) -> None:
    assert lag(waiting, left) == expected
