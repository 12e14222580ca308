"""A chart with its name, the figure of now, and the largest."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

from monitor.drawing.charts import chart, squeeze
from monitor.drawing.text import line, plain, stack
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
        self._span = ""

    def put(self, now: str, values: Sequence[float], span: str) -> None:
        """Show these; `now` is the newest figure in words, `span` how much time the chart is."""
        if (now, tuple(values), span) != (self._now, tuple(self._values), self._span):
            self._now, self._values, self._span = now, values, span
            self.refresh()

    def render(self) -> Content:
        """A line of words, and the bars."""
        width, height = self.content_size
        quiet = not any(self._values)
        title = line((f"{self._title} ", "muted"), (self._now, "muted" if quiet else "strong"), (self._unit, "muted"))
        span = plain(self._span, "muted")
        gap = width - title.cell_length - span.cell_length
        head = title + plain(" " * gap) + span if gap > 0 else title
        bars = chart(squeeze(self._values, width), width, max(height - 1, 1))
        if quiet:
            bars[-1] = "▁" * width
        return stack([head, *(plain(bar, "muted" if quiet else self._tone) for bar in bars)])
