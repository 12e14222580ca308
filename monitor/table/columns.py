"""Columns of a table, and how wide they are in a terminal of a given width. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeAlias

from monitor.drawing.tones import Tone
from monitor.table.listing import Row

#: Cells between two columns.
GAP = 2


class Cell(NamedTuple):
    """Text in one tone. It may be a stranger's: the table makes it safe."""

    text: str
    tone: Tone = ""


#: What a column makes of a row: text, text with a tone, or several of these side by side.
Content: TypeAlias = str | Cell | Sequence[Cell]


class Column(Generic[Row]):
    """A column. `width` is its least width in cells; what is left over goes to those that `grow`, up to `most`.

    In a narrow terminal the columns of the highest `rank` are left out first; those of rank 0 never are.
    `tail`: what is too long loses its beginning, since its end tells it from others.
    `sort`: its listing can be sorted by its id; `down`: it is at first sorted downwards.
    """

    __slots__ = ("cell", "down", "grow", "id", "most", "rank", "right", "sort", "tail", "title", "width")

    def __init__(
        self,
        id: str,
        title: str,
        cell: Callable[[Row], Content],
        *,
        width: int,
        grow: int = 0,
        most: int = 1000,
        right: bool = False,
        rank: int = 0,
        tail: bool = False,
        sort: bool = False,
        down: bool = False,
    ) -> None:
        self.id = id
        self.title = title
        self.cell = cell
        self.width = width
        self.grow = grow
        self.most = most
        self.right = right
        self.rank = rank
        self.tail = tail
        self.sort = sort
        self.down = down


class Fitted(NamedTuple):
    """A column that is shown, where it begins, and how wide it is."""

    column: Column[Any]
    start: int
    width: int


def fit(columns: Sequence[Column[Row]], width: int) -> list[Fitted]:
    """Which columns are shown in `width` cells, and how wide each is."""
    shown = list(columns)
    while _least(shown) > width and any(column.rank for column in shown):
        last = max(shown, key=lambda column: column.rank)
        # Of several with one rank the rightmost goes first.
        shown.remove(next(column for column in reversed(shown) if column.rank == last.rank))
    widths = _grown(shown, width)
    found, start = [], 0
    for column, wide in zip(shown, widths, strict=True):
        if start < width:
            found.append(Fitted(column, start, min(wide, width - start)))
        start += wide + GAP
    return found


def _least(columns: Sequence[Column[Row]]) -> int:
    return sum(column.width for column in columns) + GAP * max(len(columns) - 1, 0)


def _grown(columns: Sequence[Column[Row]], width: int) -> list[int]:
    """The least widths, and what is left over shared out by `grow`."""
    widths = [column.width for column in columns]
    left = width - _least(columns)
    while left > 0:
        growing = [at for at, column in enumerate(columns) if column.grow and widths[at] < column.most]
        if not growing:
            break
        weight = sum(columns[at].grow for at in growing)
        before = left
        for at in growing:
            part = min(max(before * columns[at].grow // weight, 1), columns[at].most - widths[at], left)
            widths[at] += part
            left -= part
    return widths
