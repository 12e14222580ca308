"""What an edit changed, line by line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.bodies.difference import MOST_LINES, Line, unified

texts = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=30).map("\n".join)


def test_the_lines_around_a_change_and_the_part_that_differs() -> None:
    before = "\n".join(f"line {number}" for number in range(20))
    after = before.replace("line 10", "line ten")
    assert unified(before, after) == [
        Line("@", "7 lines as they were"),
        *(Line(" ", f"line {number}") for number in (7, 8, 9)),
        Line("-", "line 10", 5, 7),
        Line("+", "line ten", 5, 8),
        *(Line(" ", f"line {number}") for number in (11, 12, 13)),
        Line("@", "6 lines as they were"),
    ]


def test_equal_texts_have_no_difference() -> None:
    assert unified("a\nb", "a\nb") == []


@given(texts, texts)
def test_a_difference_has_every_line_that_differs(before: str, after: str) -> None:
    found = unified(before, after)
    left_out = sum(int(line.text.split()[0].replace(",", "")) for line in found if line.mark == "@")
    for mark, text in (("-", before), ("+", after)):
        kept = [line.text for line in found if line.mark in (mark, " ")]
        if found:
            assert len(kept) + left_out == len(text.splitlines())
        else:
            assert before.splitlines() == after.splitlines()


def test_a_large_replacement_is_not_searched_for_its_smallest_form() -> None:
    before = "\n".join(f"a{number}" for number in range(MOST_LINES + 1))
    found = unified(before, before.replace("a", "b"))
    assert [line.mark for line in found].count("-") == MOST_LINES + 1
