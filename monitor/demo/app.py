"""The dashboard of the demo: a key more, which mends the payment provider, and a line that leads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Protocol

from textual.binding import BindingType
from textual.widget import Widget

from monitor import config
from monitor.app import Monitor
from monitor.demo.leading import Told
from monitor.demo.line import GuideLine
from monitor.keys import bindings
from monitor.source.source import Source

if TYPE_CHECKING:
    from engine import Settings


class Story(Told, Protocol):
    """What is told beside the dashboard."""

    def fix(self) -> None:
        """Mend the cause."""


class DemoMonitor(Monitor):
    """The dashboard on a story."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("demo")
    CANARY = 3

    def __init__(self, source: Source, settings: config.Config, story: Story) -> None:
        super().__init__(source, settings)
        self.story = story

    def banner(self) -> Iterator[Widget]:
        """The line that leads."""
        yield GuideLine(self.story)

    def action_fix(self) -> None:
        """Renew the certificate of the bank's endpoint."""
        if not self.story.mended:
            self.story.fix()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The key is there as long as it is of use."""
        if action == "fix":
            return not self.story.mended
        return super().check_action(action, parameters)


def make(settings: Settings, story: Story) -> DemoMonitor:
    """The dashboard of the demo. The story may end it with `exit`; `run_async` shows it until then."""
    own = config.read(settings.monitor)
    return DemoMonitor(Source(settings, interval=min(own.refresh, 0.5)), own, story)
