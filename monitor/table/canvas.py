"""Drawing a view line by line: titles, the rows that are seen, and where one stands among them."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import ClassVar, Generic, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.events import Resize
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from monitor.drawing.tones import Tone
from monitor.table import paint
from monitor.table.columns import Column, Content, Fitted, fit
from monitor.table.listing import Listing, Row
from monitor.table.view import View

#: Drawn lines that are kept.
KEPT = 1000


class Looks(NamedTuple):
    """The styles of all kinds of lines in the theme of the moment."""

    plain: paint.Paint
    cursor: paint.Paint
    ranged: paint.Paint
    standing: paint.Paint
    title: Style


class Canvas(ScrollView, Generic[Row], can_focus=True):
    """Rows of a listing under titles. Its children are no widgets: each line is drawn when it is seen.

    `noun` names the rows in the line below them; `empty` is what is said where there are none; `terms` is what a filter
    may say. `bare`: without the
    lines above and below.
    """

    DEFAULT_CSS = """
    Canvas { height: 1fr; background: $background; overflow-x: hidden; scrollbar-size-vertical: 1; }
    Canvas > .table--title { color: $foreground 58%; text-style: bold; background: $surface; }
    Canvas > .table--cursor { background: $primary 28%; }
    Canvas > .table--cursor-blurred { background: $foreground 9%; }
    Canvas > .table--range { background: $accent 16%; }
    Canvas > .table--standing { color: $foreground 58%; background: $surface; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--title",
        "table--cursor",
        "table--cursor-blurred",
        "table--range",
        "table--standing",
    }

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        listing: Listing[Row],
        *,
        empty: str = "Nothing here.",
        noun: str = "rows",
        terms: str = "words",
        bare: bool = False,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.columns = list(columns)
        self.empty = empty
        self.noun = noun
        #: What a filter may say, for whoever begins to type one.
        self.terms = terms
        #: What stands in place of the rows until they are read.
        self.unread = "Reading …"
        #: Lines that are no rows: the titles above, the standing below.
        self.above, self.below = (0, 0) if bare else (1, 1)
        self.view: View[Row] = View(listing)
        self._fitted: list[Fitted] = []
        self._looks: Looks | None = None
        self._drawn: dict[tuple[int, bool, bool, bool], tuple[Sequence[Content], Strip]] = {}
        #: What was last drawn on each line of the widget.
        self._seen_lines: dict[int, Strip] = {}

    def redraw(self, *, everything: bool = True) -> None:
        """Draw again; unless `everything`, only the lines that differ from what is seen."""
        self._follow()
        if everything:
            self._drawn.clear()
            self.refresh()
            return
        width, height = self.size
        seen = self._seen_lines.get
        self.refresh_these([y for y in range(height) if seen(y) != self._line(y, width, height)])

    def refresh_these(self, lines: Sequence[int]) -> None:
        """Have these lines of the widget drawn again."""
        if lines:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in lines))

    def scrolled(self) -> None:
        """Other rows have come into view."""

    def on_resize(self, event: Resize) -> None:
        """Fit the columns to the width."""
        self._fitted = fit(self.columns, self.size.width - paint.GUTTER - paint.MARGIN)
        self.view.height = max(self.size.height - self.above - self.below, 0)
        if self.view.cursor is not None:
            self.view.move(self.view.cursor.index)  # it stays in view
        self.redraw()
        self.scrolled()

    def notify_style_update(self) -> None:
        """Another theme, or the focus: the colours are mixed anew."""
        super().notify_style_update()
        self._looks = None
        self._drawn.clear()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The view follows the scroll bar and the wheel."""
        super().watch_scroll_y(old_value, new_value)
        if self.view.top != round(new_value):
            self.view.top = round(new_value)
            self.scrolled()

    def _follow(self) -> None:
        """The scroll bar follows the view."""
        size = Size(self.size.width, self.view.total + self.above + self.below)
        if self.virtual_size != size:
            self.virtual_size = size
        top = float(self.view.top)
        if self.scroll_y != top:
            self.scroll_target_y = top
            self.scroll_y = top

    def render_line(self, y: int) -> Strip:
        """One line of the widget."""
        self._seen_lines[y] = strip = self._line(y, *self.size)
        return strip

    def _line(self, y: int, width: int, height: int) -> Strip:
        looks = self._looks or self._mix()
        if y < self.above:
            return paint.draw_header(self._fitted, width, looks.title, self.view.listing.order)
        if y >= height - self.below:
            return self._standing(width, looks)
        index = self.view.top + y - self.above
        row = self.view.window.at(index)
        if row is not None and index < self.view.total:
            return self._row(row, index, width, looks)
        said = "…" if index < self.view.total else self._said(y - 2 * self.above, width) if not self.view.total else ""
        return Strip([Segment(f"   {said}", looks.plain.tones["muted"])]).adjust_cell_length(width, looks.plain.line)

    def _row(self, row: Row, index: int, width: int, looks: Looks) -> Strip:
        cursor = self.view.cursor is not None and self.view.cursor.index == index
        ranged = self.view.in_range(index)
        marked = ranged or self.view.listing.key(row) in self.view.marks
        known = self._drawn.get((index, cursor, ranged, marked))
        contents = [fitted.column.cell(row) for fitted in self._fitted]  # an age grows though its row stays the same
        if known is not None and known[0] == contents:
            return known[1]
        line = looks.cursor if cursor else looks.ranged if ranged else looks.plain
        strip = paint.draw_row(contents, self._fitted, width, line, cursor=cursor, marked=marked)
        if len(self._drawn) >= KEPT:
            self._drawn.clear()
        self._drawn[index, cursor, ranged, marked] = contents, strip
        return strip

    @property
    def known(self) -> bool:
        """Whether the rows were read."""
        return self.view.loaded

    def _said(self, line: int, width: int) -> str:
        """What stands where there are no rows, folded to the width."""
        if not self.known:
            text = self.unread
        else:
            text = "Nothing matches the filter; esc clears it." if self.view.listing.filter else self.empty
        folded = wrap(text, max(width - paint.GUTTER - paint.MARGIN, 8))
        return folded[line] if 0 <= line < len(folded) else ""

    def _standing(self, width: int, looks: Looks) -> Strip:
        """Where the cursor is, and what is marked and filtered."""
        view = self.view
        at = 0 if view.cursor is None else view.cursor.index + 1
        parts: list[tuple[str, Tone]] = [(f"   {at:,} of {view.total:,}{'+' * view.more} {self.noun}", "muted")]
        if len(view.marks):
            parts.append((f"   {paint.MARK} {len(view.marks):,} marked", "accent"))
        if view.origin is not None:
            parts.append(("   marking a range: V ends it, esc drops it", "accent"))
        if view.listing.filter:
            parts.append((f"   /{view.listing.filter}", "info"))
        segments = [Segment(paint.safe(text, width), looks.standing.tones[tone]) for text, tone in parts]
        return Strip(segments).adjust_cell_length(width, looks.standing.line)

    def _mix(self) -> Looks:
        background = self.background_colors[1].hex
        tones = paint.tone_styles(self.app.theme_variables, background)
        cursor = "table--cursor" if self.has_focus else "table--cursor-blurred"

        def over(name: str) -> paint.Paint:
            return paint.Paint.over(self.get_component_rich_style(name), tones)

        self._looks = Looks(
            paint.Paint.over(self.rich_style, tones),
            over(cursor),
            over("table--range"),
            over("table--standing"),
            self.get_component_rich_style("table--title"),
        )
        return self._looks
