"""Lengths of time as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigurationError
from engine.operations.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("90s", 90),
        ("5m", 300),
        ("2h", 7200),
        ("1d12h", 129600),
        ("2w", 1209600),
        ("1.5h", 5400),
        ("30", 30),
        (" 5 m ", 300),
        ("2H", 7200),
    ],
)
def test_what_people_write_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5 apples", "h", "-5m", "nan", "5m x"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_duration(text)
    assert "5m" in refused.value.hint


def test_one_that_is_too_long_is_told_so() -> None:
    with pytest.raises(ConfigurationError, match="9999999d is too long"):
        parse_duration("9999999d")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0042, "4ms"),
        (1.25, "1.2s"),
        (59, "59s"),
        (3600, "1h"),
        (3660, "1h1m"),
        (90061, "1d1h"),
        (86400 * 3 + 5, "3d"),
    ],
)
def test_two_units_at_most_are_shown(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(1, 1e8))
def test_what_is_shown_can_be_read_again_and_is_about_the_same(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.05, abs=1)
