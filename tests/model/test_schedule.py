"""Which ticks are due: in time, late, around changes of the clocks, and when a clock jumps."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigurationError
from engine.model.schedule import (
    BACKWARDS,
    MOST,
    ON_TIME,
    Cron,
    Every,
    Missed,
    Timing,
    due,
    event_id,
    latest,
    read_cron,
    read_every,
    told,
)

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu"]
EXPRESSIONS = [
    "* * * * *",
    "*/20 * * * *",
    "30 2 * * *",
    "15 1-5 * * *",
    "10 */2 * * *",
    "0 3 * * 1-5",
    "5,35 2,3 * * *",
    "0 0 1 * *",
]
#: A year with both changes of the clocks in all of these zones that have them.
START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
YEAR = 366 * 86400

crons = st.builds(read_cron, st.sampled_from(EXPRESSIONS), st.sampled_from(ZONES))
timings = st.one_of(crons, st.builds(Every, st.sampled_from([1, 7, 60, 300, 3600, 86400])))
moments = st.floats(START, START + YEAR, allow_nan=False)
#: Moments near the changes of the clocks in Berlin, New York and Lord Howe.
changes = st.builds(
    lambda base, off: base + off,
    st.sampled_from(
        [
            datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp(),
            datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp(),
            datetime(2026, 3, 8, 7, tzinfo=UTC).timestamp(),
            datetime(2026, 11, 1, 6, tzinfo=UTC).timestamp(),
            datetime(2026, 4, 4, 15, tzinfo=UTC).timestamp(),
            datetime(2026, 10, 3, 15, 30, tzinfo=UTC).timestamp(),
        ]
    ),
    st.floats(-7200, 7200),
)


def ticks(timing: Timing, after: float, until: float) -> list[float]:
    found = []
    tick = timing.after(after)
    while tick <= until:
        found.append(tick)
        tick = timing.after(tick)
    return found


@given(timings, st.one_of(moments, changes), st.floats(0, 1))
def test_the_ticks_are_the_same_from_wherever_one_looks(timing: Timing, moment: float, part: float) -> None:
    following = timing.after(moment)
    assert following > moment
    between = moment + (following - moment) * part
    if between < following:
        assert timing.after(between) == following
    assert timing.after(following) > following


@given(timings, st.one_of(moments, changes), st.lists(st.floats(0, 900), max_size=12), st.sampled_from(Missed))
def test_however_often_one_looks_no_tick_comes_twice_and_all_come(
    timing: Timing, start: float, steps: list[float], missed: Missed
) -> None:
    last, now, fired = start, start, list[float]()
    for step in steps:
        now += step
        answer = due(timing, last, now, missed)
        assert answer.last >= last
        fired += answer.ticks
        last = answer.last
    while missed is Missed.ALL and (answer := due(timing, last, now, missed)).ticks:
        fired += answer.ticks
        last = answer.last
    wanted = ticks(timing, start, now)
    assert fired == sorted(set(fired))
    assert set(fired) <= set(wanted)
    if missed is Missed.ALL:
        assert fired == wanted
    if missed is Missed.LAST and wanted:
        assert fired[-1] == wanted[-1]


@given(timings, st.one_of(moments, changes), st.floats(0, 40 * 86400))
def test_the_newest_is_found_from_the_near_end_too(timing: Timing, after: float, length: float) -> None:
    if isinstance(timing, Every) or timing.expression != "* * * * *":
        length = min(length, 500 * (timing.seconds if isinstance(timing, Every) else 1200))
    else:
        length = min(length, 86400)
    wanted = ticks(timing, after, after + length)
    assert latest(timing, after, after + length) == (wanted[-1] if wanted else None)


@given(timings, moments, st.floats(0, BACKWARDS), st.sampled_from(Missed))
def test_a_clock_set_back_a_little_repeats_nothing(timing: Timing, last: float, back: float, missed: Missed) -> None:
    assert due(timing, last, last - back, missed) == ((), last)


@given(timings, moments, st.floats(BACKWARDS + 1, 10 * YEAR), st.sampled_from(Missed))
def test_a_clock_that_was_far_ahead_does_not_stop_the_schedule(
    timing: Timing, last: float, back: float, missed: Missed
) -> None:
    now = last - back
    settled = due(timing, last, now, missed)
    assert settled == ((), now)
    following = timing.after(now)
    assert due(timing, settled.last, following, missed).ticks == (following,)


@pytest.mark.parametrize("zone", [zone for zone in ZONES if zone != "UTC"])
@pytest.mark.parametrize("expression", ["30 2 * * *", "0 0 * * *", "45 1 * * *", "15 23 * * *"])
def test_a_daily_schedule_ticks_once_every_day_of_the_year(expression: str, zone: str) -> None:
    timing = read_cron(expression, zone)
    begin = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)).timestamp() - 1
    end = datetime(2027, 1, 1, tzinfo=ZoneInfo(zone)).timestamp() - 1
    days = [told(timing, tick).date() for tick in ticks(timing, begin, end)]
    assert days == [date(2026, 1, 1) + timedelta(days=number) for number in range(365)]


def test_the_night_of_the_change_in_berlin() -> None:
    nightly = read_cron("30 2 * * *", "Europe/Berlin")
    assert told(nightly, nightly.after(utc(2026, 3, 28, 12))).isoformat() == "2026-03-29T03:00:00+02:00"
    assert told(nightly, nightly.after(utc(2026, 10, 24, 12))).isoformat() == "2026-10-25T02:30:00+02:00"
    # In the second 2 o'clock the first one is not found again.
    assert told(nightly, nightly.after(utc(2026, 10, 25, 1, 10))).isoformat() == "2026-10-26T02:30:00+01:00"
    often = read_cron("*/30 * * * *", "Europe/Berlin")
    found = ticks(often, utc(2026, 10, 24, 23, 45), utc(2026, 10, 25, 2))
    assert [later - earlier for earlier, later in itertools.pairwise(found)] == [1800.0] * (len(found) - 1)


def test_intervals_keep_to_multiples_of_themselves() -> None:
    assert Every(300).after(utc(2026, 5, 1, 10, 2)) == utc(2026, 5, 1, 10, 5)
    assert Every(300).after(utc(2026, 5, 1, 10, 5)) == utc(2026, 5, 1, 10, 10)
    assert (str(Every(300)), str(Every(90061)), str(Every(5))) == ("every 5m", "every 90061s", "every 5s")


def test_skipped_is_what_is_later_than_on_time() -> None:
    hourly, tick = read_cron("@hourly"), utc(2026, 5, 1, 10)
    last = tick - 1800
    assert due(hourly, last, tick + ON_TIME, Missed.SKIP) == ((tick,), tick)
    assert due(hourly, last, tick + ON_TIME + 1, Missed.SKIP) == ((), tick)
    assert due(hourly, last, tick + 3 * 3600 + 5, Missed.SKIP) == ((tick + 3 * 3600,), tick + 3 * 3600)


def test_many_missed_ticks_come_in_portions() -> None:
    first = due(Every(1), 1000.0, 1000.0 + 250, Missed.ALL)
    assert len(first.ticks) == MOST
    assert first.last == 1000.0 + MOST
    assert due(Every(1), first.last, 1250.0, Missed.ALL).ticks[0] == first.last + 1


def test_ids_name_the_tick_in_utc() -> None:
    tick = read_cron("0 3 * * *", "Europe/Berlin").after(utc(2026, 7, 1))
    assert event_id("shop.jobs.nightly", tick) == "shop.jobs.nightly@2026-07-01T01:00:00Z"


@pytest.mark.parametrize(
    ("expression", "zone", "said"),
    [
        ("0 3 * *", "UTC", "five fields"),
        ("0 0 3 * * 1", "UTC", "five fields"),
        ("61 3 * * *", "UTC", "Bad minute"),
        ("0 3 30 2 *", "UTC", "wrong"),
        ("0 3 * * 1#5/2", "UTC", "wrong"),
        ("", "UTC", "five fields"),
        ("0 3 * * *", "Europe/Atlantis", "time zone"),
        ("0 3 * * *", "../etc/passwd", "time zone"),
        ("0 3 * * *", "", "time zone"),
    ],
)
def test_what_is_no_cron_expression_is_refused(expression: str, zone: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_cron(expression, zone)


@pytest.mark.parametrize("interval", [0, -5, 0.5, 1.5, float("nan"), float("inf"), "500ms", "soon", ""])
def test_what_is_no_interval_is_refused(interval: float | str) -> None:
    with pytest.raises(ConfigurationError):
        read_every(interval)


def test_what_is_read() -> None:
    assert read_every("1h30m") == Every(5400)
    assert read_cron(" @Daily ") == Cron("0 0 * * *", ZoneInfo("UTC"))


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> float:
    return datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()
