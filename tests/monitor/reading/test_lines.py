"""Lines keep their text and their styles when they are folded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from monitor.reading.lines import MOST_FOLDS, Part, columns, folded, line, plain

parts = st.builds(Part, st.text("ab 漢é", max_size=30), st.sampled_from(["", "key", "muted"]))


@given(st.lists(st.lists(parts, max_size=4).map(tuple), max_size=5), st.integers(8, 40))
def test_nothing_is_lost_and_nothing_too_wide(lines: list[tuple[Part, ...]], width: int) -> None:
    found = list(folded(lines, width))
    assert all(cell_len(plain(each)) <= width for each in found)
    whole = "".join(plain(each) for each in found).replace(" ", "")
    assert whole == "".join(plain(each) for each in lines).replace(" ", "")


def test_a_continued_line_is_indented_as_its_start() -> None:
    assert list(folded([line("    ", Part("abcdefgh", "key"), Part("ij", "muted"))], 10)) == [
        (Part("    "), Part("abcdef", "key")),
        (Part("    "), Part("gh", "key"), Part("ij", "muted")),
    ]


def test_words_stay_whole_where_a_space_is_near() -> None:
    said = "  one that succeeded since would run twice"
    assert [plain(each) for each in folded([line(said)], 20)] == [
        "  one that succeeded",
        "  since would run",
        "  twice",
    ]
    assert [plain(each) for each in folded([line("ab " + "x" * 20)], 10)] == ["ab xxxxxxx", "x" * 10, "xxx"]


def test_a_value_goes_on_below_its_start() -> None:
    found = folded([line(Part("queue  ", "label"), "shop.orders.charge and more")], 20)
    assert [plain(each) for each in found] == ["queue  shop.orders.c", "       harge and", "       more"]


def test_an_endless_line_is_cut() -> None:
    assert len(list(folded([line("x" * 1_000_000)], 80))) == MOST_FOLDS + 1


def test_values_stand_beside_their_labels() -> None:
    assert [plain(each) for each in columns([("queue", "shop.charge"), ("worker", ""), ("run", "2")])] == [
        "queue  shop.charge",
        "run    2",
    ]
