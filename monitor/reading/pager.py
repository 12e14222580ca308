"""A widget to read in: lines folded to its width and drawn one by one, so that their number does not matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from monitor.keys import bindings
from monitor.reading.lines import Line, folded
from monitor.reading.scroll import Keys


class Pager(Keys, ScrollView, can_focus=True):
    """Shows lines. `show` keeps the place that is read unless it is told that other lines came."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("reading")

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *("pager--title", "pager--label", "pager--muted", "pager--strong"),
        *("pager--good", "pager--warn", "pager--bad", "pager--info", "pager--accent"),
        *("pager--key", "pager--string", "pager--number", "pager--word", "pager--wrong"),
        *("pager--plus", "pager--minus", "pager--plus-part", "pager--minus-part"),
    }

    DEFAULT_CSS = """
    Pager {
        padding: 0 1;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 0;
        & .pager--title { color: $text-primary; text-style: bold; }
        & .pager--label { color: $foreground 58%; }
        & .pager--muted { color: $foreground 58%; }
        & .pager--strong { text-style: bold; }
        & .pager--good { color: $text-success; }
        & .pager--warn { color: $text-warning; }
        & .pager--bad { color: $text-error; text-style: bold; }
        & .pager--info { color: $text-primary; }
        & .pager--accent { color: $text-accent; }
        & .pager--key { color: $text-primary; }
        & .pager--string { color: $text-success; }
        & .pager--number { color: $text-accent; }
        & .pager--word { color: $text-warning; text-style: bold; }
        & .pager--wrong { color: $text-error; }
        & .pager--plus { color: $text-success; }
        & .pager--minus { color: $text-error; }
        & .pager--plus-part { color: $text-success; text-style: bold reverse; }
        & .pager--minus-part { color: $text-error; text-style: bold reverse; }
    }
    """

    def __init__(self, lines: Sequence[Line] = (), *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines = lines
        self._fitting: Callable[[int], Sequence[Line]] | None = None
        self._folded: list[Line] = []
        self._width = 0

    @property
    def lines(self) -> Sequence[Line]:
        """What is shown, as it was given."""
        return self._lines

    def show(self, lines: Sequence[Line], *, other: bool = False) -> None:
        """Show these lines; `other` begins at their top."""
        self._fitting = None
        self._put(lines)
        if other:
            self.scroll_home(animate=False)

    def fit(self, lines: Callable[[int], Sequence[Line]]) -> None:
        """Show the lines that this function makes for so many columns: now, and again whenever they are others."""
        self._fitting = lines
        if self._width:
            self._put(lines(self._width))

    def _put(self, lines: Sequence[Line]) -> None:
        if lines is not self._lines and list(lines) != list(self._lines):
            self._lines = lines
            self._fold()

    def on_resize(self, event: events.Resize) -> None:
        """Fold anew where the width is another."""
        width = self.scrollable_content_region.width
        if width != self._width:
            if self._fitting is not None:
                self._lines = self._fitting(width)
            self._fold()

    def _fold(self) -> None:
        self._width = self.scrollable_content_region.width
        if not self._width:
            return
        self._folded = list(folded(self._lines, self._width))
        self.virtual_size = Size(self._width, len(self._folded))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of what is visible."""
        row, width = y + self.scroll_offset.y, self.scrollable_content_region.width
        base = self.rich_style
        if row >= len(self._folded):
            return Strip.blank(width, base)
        segments = [Segment(part.text, base + self._style(part.role)) for part in self._folded[row]]
        return Strip(segments).adjust_cell_length(width, base)

    def _style(self, role: str) -> Style:
        return self.get_component_rich_style(f"pager--{role}") if role else Style.null()
