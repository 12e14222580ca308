from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DecodingError
from engine.model import headers
from engine.model.delay import EARLY, RUNGS, SMALLEST, TOLERANCE, next_rung, plan, rung_queue, unwrap
from engine.model.message import Delivery, Headers, HeaderValue, Message, Publication

NOW = 1_800_000_000.0
TTL = {rung_queue("shop", ms): ms for ms in RUNGS}


def publication(**given_headers: Any) -> Publication:
    message = Message(b"body", headers={"tenant": "a", headers.RUN: 2, **given_headers}, message_id="1", timestamp=5)
    return Publication("events", "order.placed", message)


def arrive(sent: Publication) -> Delivery:
    return Delivery("shop.due", sent.message, 1, routing_key="shop.due")


def travel(
    first: Publication, due: float, start: float, exact: bool, lags: list[float]
) -> tuple[Publication, float, int]:
    """Follow a message through the rungs, each hop slower than its TTL by the next lag."""
    now, hops, sent = start, 0, plan("shop", first, due, start, exact=exact)
    while (sent.exchange, sent.routing_key) != (first.exchange, first.routing_key):
        assert sent.exchange == ""
        assert sent.mandatory
        now += TTL[sent.routing_key] / 1000 + (lags[hops % len(lags)] if lags else 0)
        hops += 1
        assert hops < 200
        target, when = unwrap(arrive(sent))
        sent = plan("shop", target, when, now)
    return sent, now, hops


def test_the_rungs_double_from_250_ms_to_36_hours_under_names_one_can_read() -> None:
    assert RUNGS[0] == 250
    assert RUNGS[-1] // 3_600_000 == 36
    assert all(following == 2 * rung for rung, following in itertools.pairwise(RUNGS))
    lengths = "250ms 500ms 1s 2s 4s 8s 16s 32s 1m 2m 4m 8m 17m 34m 1h 2h 4h 9h 18h 36h"
    assert " ".join(TTL).replace("shop.delay.", "") == lengths


delays = st.floats(EARLY, 400_000, exclude_min=True) | st.floats(EARLY, 60, exclude_min=True)


@given(delays, st.booleans())
def test_a_delay_is_never_early_and_hardly_late(delay: float, exact: bool) -> None:
    due = NOW + delay
    sent, arrived, hops = travel(publication(), due, NOW, exact, [])
    assert arrived >= due - EARLY
    allowed = SMALLEST / 1000 if exact else max(SMALLEST / 1000, TOLERANCE * delay)
    assert arrived - due <= allowed + 0.002
    assert hops <= (len(RUNGS) if exact else 4) + delay // (RUNGS[-1] / 1000)
    assert sent.message == publication().message


@given(delays, st.booleans(), st.lists(st.floats(0, 5), min_size=1, max_size=10))
def test_lateness_of_the_hops_does_not_add_up(delay: float, exact: bool, lags: list[float]) -> None:
    due = NOW + delay
    _, arrived, hops = travel(publication(), due, NOW, exact, lags)
    assert arrived >= due - EARLY
    allowed = SMALLEST / 1000 if exact else max(SMALLEST / 1000, TOLERANCE * delay)
    assert arrived - due <= allowed + max(lags) + 0.002
    assert hops <= len(RUNGS) + 1 + delay // (RUNGS[-1] / 1000)


@given(st.integers(1, RUNGS[-1] - 1), st.integers(SMALLEST, 20_000_000))
def test_a_rung_is_the_first_of_the_fewest(remaining: int, slack: int) -> None:
    rung = next_rung(remaining, slack)
    assert rung in RUNGS
    assert rung < remaining + slack  # not later than allowed
    rest = remaining - rung
    assert rest < rung or rest <= 0  # the longest that fits: no rung is taken twice


@given(st.integers(1, 4000), st.integers(0, 600))
def test_no_other_choice_needs_fewer_hops(units: int, spare: int) -> None:
    remaining, slack = units * SMALLEST, (spare + 1) * SMALLEST
    fewest = min((units + extra).bit_count() for extra in range(spare + 1))
    hops = 0
    while remaining > 0:
        rung = next_rung(remaining, slack)
        remaining -= rung
        hops += 1
    assert hops == fewest
    assert -remaining < slack


def test_random_retries_take_about_two_hops() -> None:
    delays = [0.01 * step for step in range(1, 6000, 7)]
    hops = [travel(publication(), NOW + delay, NOW, False, [0.1])[2] for delay in delays]
    assert sum(hops) / len(hops) < 2.7


def test_what_is_due_goes_to_its_target_at_once() -> None:
    for due in (NOW - 5, NOW, NOW + EARLY / 2, math.nan, -math.inf):
        assert plan("shop", publication(), due, NOW) == publication()


def test_months_go_by_on_the_longest_rung() -> None:
    sent = plan("shop", publication(), NOW + 90 * 86_400, NOW)
    assert sent.routing_key == "shop.delay.36h"
    assert plan("shop", publication(), math.inf, NOW).routing_key == "shop.delay.36h"


def test_a_rung_carries_the_message_whole_and_its_target_in_headers() -> None:
    sent = plan("shop", publication(CC=["x"], **{"x-death": []}), NOW + 1.5, NOW)
    assert sent.exchange == ""
    assert sent.routing_key == "shop.delay.1s"
    assert sent.message.body == b"body"
    assert sent.message.message_id == "1"
    assert sent.message.headers == {
        "tenant": "a",
        headers.RUN: 2,
        headers.DUE: int(NOW * 1000) + 1500,
        headers.TARGET_EXCHANGE: "events",
        headers.TARGET_KEY: "order.placed",
    }


def test_a_delayed_event_that_nobody_must_want_stays_so() -> None:
    event = Publication("events", "order.placed", Message(b""), mandatory=False)
    sent = plan("shop", event, NOW + 1, NOW)
    assert sent.mandatory
    assert unwrap(arrive(sent))[0] == event


def test_the_due_queue_reads_what_dead_lettering_adds_to_it() -> None:
    sent = plan("shop", publication(), NOW + 1, NOW)
    sent.message.headers = {**sent.message.headers, "x-death": [{"count": 1}], "x-first-death-queue": "q"}
    target, due = unwrap(arrive(sent))
    assert due == NOW + 1
    assert target.message.headers == publication().message.headers


def nonsense() -> list[Headers]:
    good: dict[str, Any] = {headers.DUE: 1, headers.TARGET_EXCHANGE: "", headers.TARGET_KEY: "q"}
    return [
        {},
        *({name: value for name, value in good.items() if name != missing} for missing in good),
        *({**good, headers.DUE: due} for due in ("1", -1, 10**15, 1.5, True, None)),
        *({**good, headers.TARGET_KEY: key} for key in (1, b"q", None, "", "q" * 256, "é" * 128, ["q"])),
        *({**good, headers.TARGET_EXCHANGE: exchange} for exchange in (1, None, "e" * 256)),
    ]


@pytest.mark.parametrize("forged", nonsense(), ids=repr)
def test_forged_headers_are_a_decoding_error(forged: Headers) -> None:
    with pytest.raises(DecodingError):
        unwrap(arrive(Publication("", "shop.due", Message(b"", headers=forged))))


def test_an_unreadable_frame_is_a_decoding_error() -> None:
    delivery = arrive(plan("shop", publication(), NOW + 1, NOW))
    delivery.defect = "timestamp out of range"
    with pytest.raises(DecodingError, match="timestamp out of range"):
        unwrap(delivery)


@pytest.mark.parametrize("slack", ["9", -1, 10**12, True])
def test_forged_slack_is_ignored(slack: Any) -> None:
    assert next_rung(1750) == 1000
    sent = plan("shop", publication(**{headers.SLACK: slack}), NOW + 1.75, NOW)
    assert sent.routing_key == "shop.delay.1s"
    assert headers.SLACK not in sent.message.headers


def test_a_redriven_message_of_the_due_queue_goes_where_it_went_at_first() -> None:
    came: dict[str, HeaderValue] = {headers.RUN: 2, headers.EXCHANGE: "events", headers.ROUTING_KEY: "order.placed"}
    target, when = unwrap(Delivery("shop.due", Message(b"", came, message_id="e-1"), 1))
    assert (target.exchange, target.routing_key, target.mandatory, when) == ("events", "order.placed", False, 0.0)
    for lacking in (headers.RUN, headers.EXCHANGE):
        with pytest.raises(DecodingError, match="when it is due"):
            unwrap(Delivery("shop.due", Message(b"", {k: v for k, v in came.items() if k != lacking}), 1))
    with pytest.raises(DecodingError, match="where it goes"):
        unwrap(Delivery("shop.due", Message(b"", {headers.RUN: 2, headers.EXCHANGE: "events"}), 1))
