"""Commands by name: whatever a key does here, the screens, and the themes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from monitor.frame.offers import offers

if TYPE_CHECKING:
    from textual.binding import ActiveBinding

    from monitor.app import Monitor


class Command(NamedTuple):
    """Something that can be called by name."""

    name: str
    help: str
    run: Callable[[], Any]


class Commands(Provider):
    """All that can be done on the screen below the palette."""

    async def discover(self) -> Hits:
        """Everything, as it stands before one types."""
        for command in self._commands():
            yield DiscoveryHit(command.name, command.run, help=command.help)

    async def search(self, query: str) -> Hits:
        """What matches."""
        matcher = self.matcher(query)
        for command in self._commands():
            score = matcher.match(command.name)
            if score > 0:
                yield Hit(score, matcher.highlight(command.name), command.run, help=command.help)

    def _commands(self) -> Iterator[Command]:
        for offer in offers(self.app, self.screen.active_bindings.values()):
            if offer.id != "app.palette":
                run = partial(self._run, offer.binding)
                yield Command(offer.label.removesuffix("…"), f"key {', '.join(offer.keys)}", run)
        for name, show in (("Projections", "projections"), ("Streams", "streams")):
            yield Command(name, "by way of screen 8", partial(cast("Monitor", self.app).go, "events", show=show))
        for theme in sorted(self.app.available_themes):
            yield Command(f"Theme: {theme}", "", partial(setattr, self.app, "theme", theme))

    async def _run(self, active: ActiveBinding) -> None:
        await self.app.run_action(active.binding.action, active.node)
