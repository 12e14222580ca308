"""A chart with its name, the figure of now, and the largest."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

from monitor.drawing.charts import chart, since, spread
from monitor.drawing.figures import age
from monitor.drawing.text import Piece, line, plain, stack
from monitor.drawing.tones import Tone


class Chart(Widget):
    """Bars as high as there is room; the newest at the right."""

    DEFAULT_CSS = """
    Chart { width: 1fr; height: 1fr; padding: 0 1; }
    """

    def __init__(self, title: str, unit: str, tone: Tone = "info", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._title = title
        self._unit = unit
        self._tone: Tone = tone
        self._now = ""
        self._values: Sequence[float] = ()
        self._step = 0.0

    def put(self, now: str, values: Sequence[float], step: float) -> None:
        """Show these, each of which stands for `step` seconds; `now` is the newest figure in words."""
        if (now, tuple(values), step) != (self._now, tuple(self._values), self._step):
            self._now, self._values, self._step = now, values, step
            self.refresh()

    def render(self) -> Content:
        """A line of words, and the bars."""
        width, height = self.content_size
        quiet = not any(self._values)
        figure: Piece = (f"{self._now}{self._unit}" if self._now else "", "muted" if quiet else "strong")
        title = line((f"{self._title} ", "muted"), figure)
        shown = since(self._values)
        span = plain(age(len(shown) * self._step) if shown else "", "muted")
        gap = width - title.cell_length - span.cell_length
        head = title + plain(" " * gap) + span if gap > 0 else title
        bars = chart(spread(shown, width), width, max(height - 1, 1))
        if quiet:
            bars[-1] = "▁" * width
        return stack([head, *(plain(bar, "muted" if quiet else self._tone) for bar in bars)])
