"""The names of the screens fit into the first line, the one that is shown whole."""

from __future__ import annotations

import pytest

from monitor.frame.header import titles
from monitor.screens import PLACES


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_all_screens_are_named_in_the_width_there_is(width: int) -> None:
    for place in PLACES:
        shown = titles(width, place.name)
        assert sum(len(title) + len(" 1 ") for title in shown) <= width
        assert shown[place.number - 1].strip() == place.title
    assert all(title.strip() == place.title for title, place in zip(titles(80, ""), PLACES, strict=True))
