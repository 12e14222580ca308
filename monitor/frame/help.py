"""The help: every key that does something here, made from the bindings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from monitor.drawing.text import plain
from monitor.keys import TITLES, bindings

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
    HelpScreen VerticalScroll { height: auto; max-height: 100%; }
    """

    def __init__(self, active: Iterable[ActiveBinding]) -> None:
        super().__init__()
        self._active = list(active)

    def compose(self) -> ComposeResult:
        """The list; it scrolls."""
        with Vertical(), VerticalScroll():
            yield Static(listing(self.app, self._active))

    def action_close(self) -> None:
        """Back to where one was."""
        self.dismiss()


def listing(app: App[object], active: Iterable[ActiveBinding]) -> Content:
    """All bindings with their keys, by group."""
    groups: dict[str, dict[str, tuple[list[str], str]]] = {}
    for one in active:
        name = one.binding.id or one.binding.action
        group = name.partition(".")[0]
        if one.binding.description and not one.binding.system and group in TITLES:
            keys, _ = groups.setdefault(group, {}).setdefault(name, ([], one.binding.description))
            keys.append(app.get_key_display(one.binding))
    lines: list[Content] = []
    for group, actions in groups.items():
        lines += [plain("")] if lines else []
        lines.append(plain(TITLES[group], "info"))
        for keys, label in actions.values():
            lines.append(Content.assemble(plain(f"  {', '.join(keys):<16} ", "strong"), plain(label)))
    lines += [plain(""), plain("Keys are yours to change: [tool.warren.monitor.keys], by the ids that", "muted")]
    lines.append(plain("docs/monitor.md lists.", "muted"))
    return Content("\n").join(lines)
