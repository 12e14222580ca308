"""Drawing the lines of a table: cells cut and padded to their columns, in the colours of the theme."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from monitor.drawing.tones import STYLES, Tone
from monitor.table.columns import GAP, Cell, Column, Content, Fitted

#: Cells left of the first column: the cursor's bar, the mark, a space.
GUTTER = 3
#: Cells right of the last one.
MARGIN = 1
CURSOR, MARK = "▌", "✓"


class Paint(NamedTuple):
    """The styles of a line: its own, and that of each tone on it."""

    line: Style
    tones: dict[Tone, Style]

    @classmethod
    def over(cls, line: Style, tones: dict[Tone, Style]) -> Paint:
        """Tones on the background of a line."""
        return cls(line, {tone: line + style for tone, style in tones.items()})


def draw_row(
    contents: Sequence[Content],
    columns: Sequence[Fitted],
    width: int,
    paint: Paint,
    *,
    cursor: bool = False,
    marked: bool = False,
) -> Strip:
    """The line of a row; `contents` is what each column makes of it."""
    segments = [
        Segment(CURSOR if cursor else " ", paint.tones["info"]),
        Segment(f"{MARK} " if marked else "  ", paint.tones["accent"]),
    ]
    at = 0
    for content, (column, start, wide) in zip(contents, columns, strict=True):
        if start > at:
            segments.append(Segment(" " * (start - at), paint.line))
        segments += _cell(_content(_ending(content, wide) if column.tail else content), wide, column.right, paint)
        at = start + wide
    return Strip(segments).adjust_cell_length(width, paint.line)


def draw_header(columns: Sequence[Fitted], width: int, style: Style, order: tuple[str, bool] | None) -> Strip:
    """The titles; an arrow stands at the column that is sorted by."""
    segments = [Segment(" " * GUTTER, style)]
    at = 0
    for column, start, wide in columns:
        segments.append(Segment(" " * (start - at), style))
        arrow = "" if order is None or order[0] != column.id else "▼" if order[1] else "▲"
        title = column.title[: max(wide - len(arrow), 0)]
        text = f"{arrow}{title}" if column.right else f"{title}{arrow}"
        segments.append(Segment(_sized(text, wide, column.right), style))
        at = start + wide
    return Strip(segments).adjust_cell_length(width, style)


def column_at(columns: Sequence[Fitted], x: int) -> Fitted | None:
    """The column under a cell of the line, the gap to its right included."""
    for fitted in columns:
        if fitted.start <= x - GUTTER < fitted.start + fitted.width + GAP:
            return fitted
    return None


def _ending(content: Content, width: int) -> Content:
    """The end of a text that is too long, behind an ellipsis."""
    return f"…{content[1 - width :]}" if isinstance(content, str) and len(content) > width > 1 else content


def _content(content: Content) -> Sequence[Cell]:
    if isinstance(content, str):
        return (Cell(content),)
    return (content,) if isinstance(content, Cell) else content


def _cell(cells: Sequence[Cell], width: int, right: bool, paint: Paint) -> list[Segment]:
    """Pieces side by side in exactly `width` cells."""
    if len(cells) == 1:
        text, tone = cells[0]
        return [Segment(_sized(safe(text, width), width, right), paint.tones[tone])]
    segments, left = [], width
    for text, tone in cells:
        shown = safe(text, left)
        wide = min(cell_len(shown), left)
        if wide:
            segments.append(Segment(_sized(shown, wide, False), paint.tones[tone]))
        left -= wide
    filler = Segment(" " * left, paint.line)
    return [filler, *segments] if right else [*segments, filler]


def as_text(row: object, columns: Sequence[Column[Any]]) -> str:
    """The whole row, columns separated by tabs."""
    return "\t".join("".join(cell.text for cell in _content(column.cell(row))) for column in columns)


def safe(text: str, width: int) -> str:
    """One line of it that a terminal takes for text, cut to `width` characters."""
    return _safe(text[: 2 * width + 2], max(width, 1))


@lru_cache(maxsize=4096)
def _safe(text: str, width: int) -> str:
    from engine.operations.text import cell

    return cell(text, width)


def _sized(text: str, width: int, right: bool) -> str:
    """Exactly so many cells, however wide its characters are; an ellipsis where it is cut."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else set_cell_size(text, width)
    return " " * (width - length) + text if right else text + " " * (width - length)


def tone_styles(variables: dict[str, str], background: str) -> dict[Tone, Style]:
    """The foreground of each tone in a theme. A half transparent one is mixed with `background`."""
    from textual.style import Style as VisualStyle

    behind = VisualStyle.parse(f"on {background}", variables)
    found: dict[Tone, Style] = {}
    for tone, text in STYLES.items():
        rich = (behind + VisualStyle.parse(text, variables)).rich_style if text else Style()
        found[tone] = Style(color=rich.color, bold=rich.bold or None, dim=rich.dim or None)
    return found
