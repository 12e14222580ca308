"""The pace: a set rate is held whatever the sender's rhythm, and a ramp grows tenfold."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engine.model.pace import RAMP_END, RAMP_STEP, Meter, Pacer, rate_at

RATES = st.floats(0.5, 20_000)
#: Seconds between two looks of a sender: quick ones, and some stalls.
GAPS = st.lists(st.one_of(st.floats(0.001, 0.2), st.floats(0.2, 5.0)), min_size=5, max_size=60)


def send(pacer: Pacer, gaps: list[float]) -> tuple[list[tuple[float, int]], float]:
    """All that is due at each look is sent: when, and how many; and when it ended."""
    now, sent = 0.0, []
    for gap in gaps:
        now += gap
        due = pacer.due(now)
        assert due is not None
        assert due >= 0
        if due:
            pacer.sent(due)
            sent.append((now, due))
    return sent, now


@given(RATES, GAPS)
def test_a_rate_is_never_exceeded(rate: float, gaps: list[float]) -> None:
    """Over any span: no more than its seconds' worth, and what may be caught up with."""
    sent, _ = send(Pacer(rate, ramp=False), gaps)
    for start, (begun, _) in enumerate(sent):
        total = 0
        for moment, count in sent[start:]:
            total += count
            assert total <= rate * (moment - begun) + max(rate, 1.0) + 1


@given(RATES, st.lists(st.floats(0.001, 0.5), min_size=20, max_size=200))
def test_a_sender_that_keeps_up_holds_the_rate(rate: float, gaps: list[float]) -> None:
    sent, ended = send(Pacer(rate, ramp=False), gaps)
    total = sum(count for _, count in sent)
    assert abs(total - rate * ended) <= 2


@given(RATES)
def test_a_sender_that_waits_as_long_as_it_is_told_always_has_something_to_send(rate: float) -> None:
    pacer, now = Pacer(rate, ramp=False), 0.0
    for _ in range(50):
        now += pacer.wait(now) + 1e-9
        due = pacer.due(now)
        assert due is not None
        assert due >= 1
        pacer.sent(due)


def test_a_stall_is_made_up_for_by_a_second_at_most() -> None:
    pacer = Pacer(100, ramp=False)
    assert pacer.due(3600.0) == 100


def test_without_a_rate_any_number_is_due() -> None:
    assert Pacer(None, ramp=False).due(0.0) is None
    assert Pacer(None, ramp=False).wait(0.0) == 0.0


@given(st.one_of(st.none(), RATES))
def test_a_ramp_grows_to_its_rate(rate: float | None) -> None:
    rates = [rate_at(number * RAMP_STEP / 2, rate, ramp=True) for number in range(20)]
    assert rates == sorted(rates)
    assert rates[0] == min(1.0, rate or 1.0)
    assert rates[-1] == (math.inf if rate is None else rate)
    assert all(after <= 10 * before or math.isinf(after) for before, after in pairwise(rates))


def test_a_ramp_without_a_rate_ends_without_a_limit() -> None:
    pacer = Pacer(None, ramp=True)
    counts = []
    for step in range(8):
        due = pacer.due(step * RAMP_STEP / 2)
        assert due is not None
        pacer.sent(due)
        counts.append(due)
    assert sum(counts[:3]) <= 1 * RAMP_STEP + 1
    assert sum(counts) > RAMP_END / 10
    assert pacer.due(4 * RAMP_STEP) is None


def test_the_meter_tells_the_pace_of_late() -> None:
    meter = Meter()
    for number in range(1, 101):
        pace = meter.sent(10, number / 10)
    assert 95 <= pace <= 105
    assert meter.sent(0, 60.0) < 1
