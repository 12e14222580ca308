"""A place that has no screen yet."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from monitor.drawing.text import plain
from monitor.frame.page import Page


class EmptyPage(Page):
    """Says so."""

    def body(self) -> ComposeResult:
        """One line."""
        title = "" if self.place is None else self.place.title
        yield Static(plain(f" {title}: not built yet.", "muted"))
