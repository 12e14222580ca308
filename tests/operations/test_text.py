"""No text of a stranger reaches the terminal raw."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.operations.text import cell, visible

HOSTILE = {
    "\x1b]52;c;cm0gLXJm\x07": "␛]52;c;cm0gLXJm␇",
    "\x1b[2J": "␛[2J",
    "a\rb\x00": "a␍b␀",
    "\x9b31m": "\\x9b31m",
    "\u202egnp.exe": "\\u202egnp.exe",
    "zero\u200bwidth": "zero\\u200bwidth",
    "tag\U000e0041": "tag\\U000e0041",
    "half \udc80": "half \\udc80",
    "\x7f": "␡",
    "a\u2028b": "a\\u2028b",
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.items())
def test_what_does_not_print_is_named(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_plain_text_stays_as_it_is() -> None:
    assert visible("Grüße, 東京 🎉 [bold]x[/bold]") == "Grüße, 東京 🎉 [bold]x[/bold]"


def test_lines_keeps_line_feeds_and_tabs_only() -> None:
    assert visible("a\n\tb\r", lines=True) == "a\n\tb␍"
    assert visible("a\nb") == "a␊b"


@given(st.text(st.characters(), max_size=50))
def test_nothing_that_controls_a_terminal_is_left(text: str) -> None:
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in visible(text))


@given(st.text(st.characters(), max_size=80), st.integers(1, 40))
def test_a_cell_is_one_line_of_at_most_its_width(text: str, width: int) -> None:
    shown = cell(text, width)
    assert "\n" not in shown
    assert len(shown) <= width


def test_a_cell_says_that_it_was_cut() -> None:
    assert cell("abcdef", 4) == "abc…"
    assert cell("abcd", 4) == "abcd"
    assert cell("one\n  two", 20) == "one two"
