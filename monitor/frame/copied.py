"""Text that was copied, shown as well: not every terminal lets a program set the clipboard."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from monitor.drawing.text import lines, plain
from monitor.keys import bindings
from monitor.reading.scroll import Scroll

#: Characters that are shown; all are copied.
SHOWN = 20_000


class CopiedScreen(ModalScreen[None]):
    """Shows the text so that the mouse can select it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("copied")

    DEFAULT_CSS = """
    CopiedScreen { align: center middle; background: $background 55%; }
    CopiedScreen > Vertical { width: 90%; max-width: 110; height: auto; max-height: 80%; background: $surface;
        border: round $primary; padding: 1 2; }
    CopiedScreen Scroll { height: auto; max-height: 100%; }
    CopiedScreen .copied--title { margin-bottom: 1; height: auto; }
    """

    def __init__(self, text: str, title: str) -> None:
        super().__init__()
        self._text = text
        self._title = title

    def compose(self) -> ComposeResult:
        """What was copied."""
        shown = self._text if len(self._text) <= SHOWN else f"{self._text[:SHOWN]}\n…"
        with Vertical():
            said = f"{self._title}: copied, where the terminal allows it. Esc closes."
            yield Static(plain(said, "strong"), classes="copied--title")
            with Scroll():
                yield Static(lines(shown))

    def action_close(self) -> None:
        """Back to where one was."""
        self.dismiss()
