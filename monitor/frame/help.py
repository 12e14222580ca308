"""The help: every key that does something here, made from the bindings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from monitor.drawing.text import plain
from monitor.frame.offers import offers
from monitor.keys import TITLES, bindings
from monitor.reading.scroll import Scroll

if TYPE_CHECKING:
    from textual.app import App
    from textual.binding import ActiveBinding


class HelpScreen(ModalScreen[None]):
    """Keys and what they do, in groups: the nearest first."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: $background 55%; }
    HelpScreen > Vertical { width: 64; max-width: 96%; height: auto; max-height: 92%; background: $surface;
        border: round $primary; padding: 1 2; }
    HelpScreen Scroll { height: auto; max-height: 100%; }
    """

    def __init__(self, active: Iterable[ActiveBinding]) -> None:
        super().__init__()
        self._active = list(active)

    def compose(self) -> ComposeResult:
        """The list; it scrolls."""
        with Vertical(), Scroll():
            yield Static(listing(self.app, self._active))

    def action_close(self) -> None:
        """Back to where one was."""
        self.dismiss()


def listing(app: App[object], active: Iterable[ActiveBinding]) -> Content:
    """All bindings with their keys, by group."""
    lines: list[Content] = []
    group = ""
    for offer in offers(app, active):
        if offer.group != group:
            group = offer.group
            lines += [plain("")] if lines else []
            lines.append(plain(TITLES[group], "info"))
        lines.append(Content.assemble(plain(f"  {', '.join(offer.keys):<16} ", "strong"), plain(offer.label)))
    lines += [plain(""), plain("Keys are yours to change: [tool.warren.monitor.keys], by the ids that", "muted")]
    lines.append(plain("docs/monitor.md lists.", "muted"))
    return Content("\n").join(lines)
