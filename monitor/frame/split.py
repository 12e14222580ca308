"""Two parts side by side: the second, the detail, is there in wide terminals only."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.events import Resize
from textual.widget import Widget

#: From so many columns on the detail is shown.
WIDE = 120


class Split(Horizontal):
    """`main` and, from 120 columns on, `detail` beside it."""

    DEFAULT_CSS = """
    Split { height: 1fr; }
    Split > .split--detail { width: 2fr; max-width: 64; border-left: vkey $foreground 18%; display: none; padding: 0 1; }
    Split > .split--main { width: 3fr; }
    Split.-wide > .split--detail { display: block; }
    """

    def __init__(self, main: Widget, detail: Widget, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.main = main.add_class("split--main")
        self.detail = detail.add_class("split--detail")

    def compose(self) -> ComposeResult:
        """Both parts."""
        yield self.main
        yield self.detail

    @property
    def wide(self) -> bool:
        """Whether the detail is shown."""
        return self.has_class("-wide")

    def on_resize(self, event: Resize) -> None:
        """Show or hide the detail."""
        self.set_class(self.app.size.width >= WIDE, "-wide")
