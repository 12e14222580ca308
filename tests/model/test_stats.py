"""Counters and latency histograms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.stats import BOUNDS, HandlerStats, Histogram, total


@given(st.lists(st.floats(0.0001, 1000.0), min_size=1), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_off_by_at_most_a_quarter(seconds: list[float], fraction: float) -> None:
    histogram = Histogram()
    for value in seconds:
        histogram.add(value)
    exact = sorted(seconds)[min(len(seconds) - 1, max(0, int(-(-fraction * len(seconds) // 1)) - 1))]
    answer = histogram.percentile(fraction)
    assert answer is not None
    assert exact <= answer * (1 + 1e-9)
    assert answer <= exact * 1.2500001


def test_nothing_counted_has_no_percentile() -> None:
    assert Histogram().percentile(0.5) is None


def test_what_is_beyond_the_last_bound_is_still_counted() -> None:
    histogram = Histogram()
    histogram.add(1e9)
    assert histogram.percentile(0.5) == BOUNDS[-1]


def test_histograms_survive_their_stored_form() -> None:
    histogram = Histogram()
    histogram.add(0.2)
    assert Histogram(histogram.counts).percentile(0.5) == histogram.percentile(0.5)


def test_counters_of_several_workers_add_up() -> None:
    one, two = HandlerStats(handled=3, failed=1), HandlerStats(handled=4, dead=2)
    one.latency.add(0.001)
    two.latency.add(0.1)
    both = total([one, two])
    assert (both.handled, both.failed, both.dead) == (7, 1, 2)
    assert sum(both.latency.counts) == 2


def test_a_snapshot_stands_still() -> None:
    stats = HandlerStats()
    copy = stats.snapshot()
    stats.handled += 1
    stats.latency.add(1.0)
    assert copy.handled == 0
    assert copy.latency.percentile(0.5) is None


def test_bounds_grow() -> None:
    assert list(BOUNDS) == sorted(set(BOUNDS))
    assert BOUNDS[0] == pytest.approx(0.0001)
