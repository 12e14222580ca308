"""What can be done with projections, on whichever screen they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from monitor.frame.page import Page
from monitor.keys import bindings
from monitor.projections import acting
from monitor.projections.rates import Rates
from monitor.projections.wording import ProjectionRow

if TYPE_CHECKING:
    from engine.operations.projections import ProjectionState


class ProjectionActs(Page):
    """Acts on the projection that is looked at."""

    GROUP: ClassVar[str] = "projections"
    BINDINGS: ClassVar[list[BindingType]] = bindings("projections")

    def __init__(self) -> None:
        super().__init__()
        self._rates = Rates()

    async def read(self) -> list[ProjectionRow]:
        """All projections as they are now."""
        from engine.operations import projections

        now, source = self.source.now(), self.source
        specs = tuple((await source.project()).projections.values())
        found = await projections.list_projections(source.database(), source.settings.app, specs, now, source.liveness)
        self._rates.feed(found, now)
        return [
            ProjectionRow(
                each,
                self._rates.of(each.name, each.live),
                None if each.rebuild is None else self._rates.of(each.name, each.rebuild),
            )
            for each in found
        ]

    @property
    def current(self) -> ProjectionState | None:
        """The projection that is looked at."""
        raise NotImplementedError

    def action_pause(self) -> None:
        """Pause it, or have it go on."""
        if self.current is not None:
            self.perform(acting.toggle(self, self.current), doing="pausing or resuming the projection")

    def action_rebuild(self) -> None:
        """Show how it would be rebuilt, or how far that is."""
        from monitor.projections.rebuild import RebuildPage

        if self.current is not None:
            self.monitor.push_screen(RebuildPage(self.current.name))

    def action_skip(self) -> None:
        """Leave out the event it stands at."""
        if self.current is not None:
            self.perform(acting.skip(self, self.current, self.current.live), doing="skipping the event")

    def action_event(self) -> None:
        """Show the event it stands at."""
        self.perform(acting.show_event(self, self.current), doing="opening the event")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what there is an event for only where one fails."""
        if action in ("skip", "event") and self.composed and (self.current is None or self.current.live.failed is None):
            return False
        return super().check_action(action, parameters)
