"""The pane beside a list: what is known of the row under the cursor."""

from __future__ import annotations

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static


class Detail(VerticalScroll, can_focus=False):
    """A text that scrolls. The same text is not drawn again."""

    DEFAULT_CSS = """
    Detail { scrollbar-size-vertical: 1; }
    Detail > Static { width: 1fr; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._text = Static("", markup=False)
        self._shown = Content()

    def compose(self) -> list[Static]:
        """The text."""
        return [self._text]

    def put(self, content: Content) -> None:
        """Show this."""
        if not content.is_same(self._shown):
            self._shown = content
            self._text.update(content)
