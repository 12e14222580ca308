"""What the keys do here: one line made from the bindings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content
from textual.events import Click
from textual.widget import Widget

if TYPE_CHECKING:
    from textual.app import App
    from textual.binding import ActiveBinding


class Hint(NamedTuple):
    """A key and what it does here; `action` with its owner, as `App.run_action` takes it."""

    keys: str
    label: str
    binding: ActiveBinding


class Hints(Widget):
    """The hints; a click does what a key does."""

    DEFAULT_CSS = """
    Hints { height: 1; width: 1fr; padding: 0 1; color: $foreground 70%; }
    """

    def on_mount(self) -> None:
        """Follow the bindings."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.refresh())

    def render(self) -> Content:
        """The line, as far as there is room."""
        room = self.size.width - 2
        pieces: list[Content] = []
        self._spots: list[tuple[int, int, Hint]] = []
        x = 0
        for hint in shown(self.app, self.screen.active_bindings.values()):
            wide = len(hint.keys) + 1 + len(hint.label) + 3
            if x + wide - 3 > room:
                break
            pieces.append(Content.assemble((hint.keys, "bold $text-primary"), f" {hint.label}   "))
            self._spots.append((x, x + wide, hint))
            x += wide
        return Content("").join(pieces)

    async def on_click(self, event: Click) -> None:
        """Do what was clicked."""
        for start, end, hint in getattr(self, "_spots", []):
            if start <= event.x - 1 < end:
                await self.app.run_action(hint.binding.binding.action, hint.binding.node)
                return


def shown(app: App[object], active: Iterable[ActiveBinding]) -> list[Hint]:
    """The actions that are worth a hint, each once, with its first key."""
    found: dict[str, Hint] = {}
    for one in active:
        name = one.binding.id or one.binding.action
        if one.binding.show and one.enabled and name not in found:
            found[name] = Hint(app.get_key_display(one.binding), one.binding.tooltip or one.binding.description, one)
    return list(found.values())
