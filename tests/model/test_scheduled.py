"""`@every` and `@cron` as they are written: what is read from them, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from engine import EventData, cron, every
from engine.errors import PluginError
from engine.model.schedule import Every, Missed
from engine.model.scheduled import SCHEDULED, ScheduleSpec, assign_names


class Reported(EventData, type="test.reported"):
    day: str = ""


@pytest.fixture(autouse=True)
def empty() -> None:
    globals().pop(SCHEDULED, None)


def declared() -> list[ScheduleSpec]:
    found: list[ScheduleSpec] = globals().get(SCHEDULED, [])
    return found


def test_a_function_becomes_a_schedule_and_stays_itself() -> None:
    @cron("0 3 * * 1-5", timezone="Europe/Berlin", missed="all")
    def nightly(tick: datetime) -> Reported:
        return Reported(day=tick.isoformat())

    @every("5m", name="stock-check", missed="skip")
    async def check() -> Reported | None:
        return None

    @every(seconds=90)
    def other(more: int = 3) -> Reported:
        return Reported()

    assert nightly(datetime(2026, 1, 1)) == Reported(day="2026-01-01T00:00:00")  # noqa: DTZ001
    first, second, third = declared()
    assert (first.name, first.takes_tick, first.missed) == ("test_scheduled.nightly", True, Missed.ALL)
    assert (str(first.timing), first.timing.timezone) == ("0 3 * * 1-5", "Europe/Berlin")
    assert first.place.startswith("tests/model/test_scheduled.py:")
    assert (second.name, second.takes_tick, second.missed) == ("stock-check", False, Missed.SKIP)
    assert (third.timing, third.takes_tick, third.missed) == (Every(90), False, Missed.LAST)
    assert list(assign_names("shop", declared())) == [
        "shop.test_scheduled.nightly",
        "shop.stock-check",
        "shop.test_scheduled.other",
    ]


def test_two_of_one_name_and_a_name_too_long_are_refused() -> None:
    for _ in range(2):

        @every("5m")
        def same() -> Reported:
            return Reported()

    with pytest.raises(PluginError, match=r"Two schedules claim the name shop\.test_scheduled\.same"):
        assign_names("shop", declared())
    with pytest.raises(PluginError, match="too long"):
        assign_names("s" * 250, declared()[:1])


def wants_two(one: datetime, two: datetime) -> Reported:
    return Reported()


def wants_keyword(*, tick: datetime) -> Reported:
    return Reported()


def yields() -> Any:
    yield Reported()


@pytest.mark.parametrize(
    ("decorator", "function", "said"),
    [
        (lambda: every, wants_two, "an interval is missing"),
        (lambda: every(), wants_two, "an interval is missing"),
        (lambda: every("5m", seconds=3), wants_two, "an interval is missing"),
        (lambda: every("5m"), wants_two, "at most one argument"),
        (lambda: every("5m"), wants_keyword, "at most one argument"),
        (lambda: every("5m"), yields, "yields"),
        (lambda: every("5m"), Reported, "stands on"),
        (lambda: every("soon"), wants_two, "not a length of time"),
        (lambda: every(0.5), wants_two, "whole number of seconds"),
        (lambda: every("5m", missed="maybe"), wants_two, "missed='maybe' is unknown"),
        (lambda: every("5m", name="a b"), wants_two, "not a name"),
        (lambda: cron("99 * * * *"), wants_two, "Bad minute"),
        (lambda: cron("0 3 * * *", timezone="Nowhere"), wants_two, "no time zone 'Nowhere'"),
        (lambda: cron, wants_two, "an expression is missing"),
    ],
)
def test_mistakes_name_the_place(decorator: Callable[[], Any], function: Any, said: str) -> None:
    with pytest.raises(PluginError, match=said) as caught:
        decorator()(function)
    assert "test_scheduled.py:" in caught.value.message
    assert not declared()
