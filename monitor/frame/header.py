"""The two lines at the top: the screens, and how broker, database and workers stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.segment import Segment
from rich.style import Style
from textual.events import Click
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from monitor.drawing.tones import Tone
from monitor.frame.standing import standing
from monitor.screens import PLACES
from monitor.table.paint import safe, tone_styles

if TYPE_CHECKING:
    from monitor.app import Monitor
    from monitor.screens import Place


def titles(width: int, current: str) -> list[str]:
    """The names of the screens as they fit into so many cells, with what stands behind each: that of `current` is whole."""
    found: list[str] = []
    for letters, space in ((100, " "), (100, ""), (6, ""), (4, ""), (2, "")):
        found = [(place.title if place.name == current else place.title[:letters]) + space for place in PLACES]
        if sum(len(title) + 3 for title in found) <= width:
            break
    return found


class Header(Widget):
    """The names of the screens, the one that is shown bright; below it the states of what the monitor reads."""

    DEFAULT_CSS = """
    Header { height: 2; dock: top; background: $surface; }
    Header > .header--here { color: $background; background: $primary; text-style: bold; }
    Header > .header--number { color: $text-primary; background: $surface; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"header--here", "header--number"}

    def __init__(self, place: Place | None) -> None:
        super().__init__()
        self._place = place
        self._tones: dict[Tone, Style] | None = None
        self._spots: list[tuple[int, int, str]] = []

    @property
    def _monitor(self) -> Monitor:
        return cast("Monitor", self.app)

    def pulse(self) -> None:
        """Draw the states again: ages have grown."""
        self.refresh(Region(0, 1, self.size.width, 1))

    def notify_style_update(self) -> None:
        """Another theme."""
        super().notify_style_update()
        self._tones = None

    def render_line(self, y: int) -> Strip:
        """One of the two lines."""
        return self._screens() if y == 0 else self._states()

    def _styles(self) -> dict[Tone, Style]:
        if self._tones is None:
            plain = self.rich_style
            found = tone_styles(self.app.theme_variables, self.background_colors[1].hex)
            self._tones = {tone: plain + style for tone, style in found.items()}
        return self._tones

    def _screens(self) -> Strip:
        tones = self._styles()
        here = self.get_component_rich_style("header--here")
        number = self.get_component_rich_style("header--number")
        current = self._monitor.current_mode
        segments, x = [], 0
        self._spots = []
        for place, title in zip(PLACES, titles(self.size.width, current), strict=True):
            shown = place.name == current
            parts = [
                Segment(f" {place.number % 10} ", here if shown else number),
                Segment(title, here if shown else tones["muted"]),
            ]
            wide = sum(len(part.text) for part in parts)
            self._spots.append((x, x + wide, place.name))
            segments += parts
            x += wide
        return Strip(segments).adjust_cell_length(self.size.width, tones[""])

    def _states(self) -> Strip:
        tones = self._styles()
        left, right = standing(self._monitor.source, held=self._monitor.held, width=self.size.width)
        used = sum(len(text) for text, _ in (*left, *right))
        gap = max(self.size.width - used, 1)
        pieces = [*left, (" " * gap, ""), *right]
        segments = [Segment(safe(text, self.size.width), tones[tone]) for text, tone in pieces]
        return Strip(segments).adjust_cell_length(self.size.width, tones[""])

    def on_click(self, event: Click) -> None:
        """Show the screen whose name was clicked."""
        for start, end, name in self._spots:
            if event.y == 0 and start <= event.x < end:
                self._monitor.go(name)
