"""The line that leads through the demo, above the hints of each screen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from monitor.demo.leading import Lead, Step, lead

if TYPE_CHECKING:
    from monitor.demo.leading import Told

#: Seconds between two looks at the story.
LOOK = 0.2

_KEY = re.compile(r"\[(\w+)\]")
_NAMES = {Step.FAIL: "fail", Step.INSPECT: "inspect", Step.FIX: "fix", Step.REDRIVE: "redrive", Step.PROVED: "proved"}


class GuideLine(Widget):
    """Where the story is, and what to do next."""

    DEFAULT_CSS = """
    GuideLine { height: 2; dock: bottom; margin-bottom: 1; padding: 0 1; background: $primary 22%; color: $foreground; }
    """

    def __init__(self, told: Told) -> None:
        super().__init__()
        self._told = told
        self._lead: Lead | None = None

    def on_mount(self) -> None:
        """Follow the story."""
        self._look()
        self.set_interval(LOOK, self._look)

    def _look(self) -> None:
        found = lead(self._told, type(self.screen).__name__)
        if found != self._lead:
            self._lead = found
            self.refresh()

    def render(self) -> Content:
        """The steps, and below them the sentence."""
        if self._lead is None:
            return Content("")
        return Content("\n").join([_steps(self._lead.step), _sentence(self._lead.text)])


def _steps(here: Step) -> Content:
    pieces: list[tuple[str, str]] = [("demo  ", "bold $text-primary")]
    for step, name in _NAMES.items():
        if step < here or here is Step.PROVED:
            pieces.append((f"✓ {name}", "$text-success"))
        elif step == here:
            pieces.append((f"▶ {name}", "bold"))
        else:
            pieces.append((f"· {name}", "$foreground 58%"))
        pieces.append(("   ", ""))
    return Content.assemble(*pieces)


def _sentence(text: str) -> Content:
    """The keys in it stand out."""
    pieces = [
        Content.styled(f" {part} ", "bold reverse") if place % 2 else Content(part)
        for place, part in enumerate(_KEY.split(text))
    ]
    return Content("").join(pieces)
