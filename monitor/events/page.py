"""What can be done with events, on whichever screen they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from monitor.frame.page import Page
from monitor.keys import bindings

if TYPE_CHECKING:
    from engine.operations.events import LoggedEvent

#: Actions of the group that only the list of events has.
_LISTED = ("follow", "streams", "projections")


class EventActs(Page):
    """Acts on the events that are chosen: their positions are frozen when the key is pressed."""

    GROUP: ClassVar[str] = "events"
    BINDINGS: ClassVar[list[BindingType]] = bindings("events")
    #: Whether this is the list of all events.
    LISTS: ClassVar[bool] = False

    @property
    def current(self) -> LoggedEvent | None:
        """The event that is looked at."""
        raise NotImplementedError

    async def chosen(self) -> Sequence[int]:
        """The positions of the events to act on: those marked, else that under the cursor."""
        return [] if self.current is None else [self.current.position]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what only the list of all events has."""
        if action in _LISTED and not self.LISTS:
            return False
        return super().check_action(action, parameters)

    def action_trace(self) -> None:
        """Show everything that has the same correlation id."""
        row = self.current
        if row is not None:
            self.monitor.open_trace(row.correlation_id or row.event_id, at=f"event:{row.event_id}")

    def action_history(self) -> None:
        """Show the stream that it belongs to, else that of the aggregate it is about."""
        self.perform(self._history(), doing="opening the stream")

    async def _history(self) -> None:
        from engine.operations import streams
        from monitor.streams.history import HistoryPage

        row = self.current
        if row is None:
            return
        stream = streams.StreamId(row.aggregate_type or "", row.aggregate_id or "")
        if row.version is None and (not row.aggregate_id or await streams.find(self.source.database(), stream) is None):
            self.tell("The event belongs to no stream: only what aggregates append has a history.")
            return
        self.monitor.push_screen(HistoryPage(stream, at=row.version))

    def action_replay(self) -> None:
        """Choose a handler, and make a plan."""
        self.perform(self._replay(), doing="planning the replay")

    async def _replay(self) -> None:
        from monitor.replaying.targets import TargetsPage

        positions = await self.chosen()
        if positions:
            self.monitor.push_screen(TargetsPage(positions))
        else:
            self.tell("There is nothing to replay here.")
