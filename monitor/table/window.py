"""The rows at hand: one stretch of a listing, and the shortest way to another stretch. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple

from monitor.table.listing import Row


class Window(NamedTuple, Generic[Row]):
    """Rows that stand together; `first` is the index of the first of them in the whole listing."""

    first: int
    rows: Sequence[Row]

    @property
    def end(self) -> int:
        """The index after the last row."""
        return self.first + len(self.rows)

    def at(self, index: int) -> Row | None:
        """The row of this index, if it is at hand."""
        return self.rows[index - self.first] if self.first <= index < self.end else None

    def covers(self, start: int, end: int) -> bool:
        """Whether all rows from `start` to before `end` are at hand."""
        return self.first <= start and end <= self.end


class Way(NamedTuple):
    """How to get at rows: from the row of an index of the window, from the start or from the end of all.

    `anchor` is the index of a row at hand, None for the start, or the end when `backwards`.
    """

    anchor: int | None
    skip: int
    limit: int
    backwards: bool = False


def way(window: Window[Row], total: int, start: int, end: int) -> Way:
    """The way to the rows from `start` to before `end` that skips the fewest: skipped rows must be counted off."""
    limit = end - start
    ways = [Way(None, start, limit), Way(None, max(total - end, 0), limit, True)]
    if window.rows:
        if start >= window.first:
            anchor = min(start, window.end - 1)
            ways.append(Way(anchor, start - anchor, limit))
        if end <= window.first:
            ways.append(Way(window.first, window.first - end, limit, True))
    return min(ways, key=lambda one: one.skip)


def stretch(top: int, height: int, total: int, margin: int) -> tuple[int, int]:
    """Which rows to have at hand for a view of `height` lines from `top` on: `margin` more on either side."""
    start = max(min(top, total) - margin, 0)
    return start, min(top + height + margin, total)


def scrolled(top: int, line: int, index: int, height: int) -> int:
    """Where the view begins after a refresh.

    The row that stood on `line` of the view has `index` now, and stays on its line. Only a view from the very first row
    on stays there, so that what is new is seen, as long as the row remains in it.
    """
    if top == 0 and index < height:
        return 0
    return max(index - line, 0)


def shown(top: int, index: int, height: int) -> int:
    """Where the view must begin for the row of `index` to be in it: as far as needed, not further."""
    if index < top:
        return index
    return max(index - height + 1, 0) if index >= top + height else top
