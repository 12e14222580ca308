"""What can be done with failures, on whichever screen they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from monitor.failures import acting
from monitor.frame.page import Page
from monitor.keys import bindings

if TYPE_CHECKING:
    from engine.operations.failures import FailureRow


class FailurePage(Page):
    """Acts on the failures that are chosen: their ids are frozen when the key is pressed."""

    GROUP: ClassVar[str] = "failures"
    BINDINGS: ClassVar[list[BindingType]] = bindings("failures")

    async def chosen(self) -> Sequence[int]:
        """The ids of the failures to act on: those marked, else those under the cursor."""
        raise NotImplementedError

    def unmark(self) -> None:
        """What was marked was acted on."""

    @property
    def current(self) -> FailureRow | None:
        """The failure that is looked at."""
        raise NotImplementedError

    def action_redrive(self) -> None:
        """Make a plan of sending them back to their queues."""
        self.perform(self._redrive(), doing="planning the redrive")

    async def _redrive(self) -> None:
        from monitor.redriving.plan import PlanPage

        ids = await self.chosen()
        if ids:
            self.monitor.push_screen(PlanPage(ids))
        else:
            self.tell("There is nothing to redrive here.")

    def action_edit(self) -> None:
        """Edit the body of the failure that is looked at."""
        self._edit(outside=False)

    def action_edit_outside(self) -> None:
        """Edit it in the operator's own editor."""
        self._edit(outside=True)

    def _edit(self, *, outside: bool) -> None:
        from monitor.editing.editor import EditorPage

        if self.current is not None:
            self.monitor.push_screen(EditorPage(self.current.id, outside=outside))

    def action_difference(self) -> None:
        """Show what was edited."""
        from monitor.editing.difference import DifferencePage

        if self.current is not None:
            self.monitor.push_screen(DifferencePage(self.current.id))

    def action_archive(self) -> None:
        """Archive them."""
        self.perform(acting.archive(self), doing="archiving")

    def action_undo(self) -> None:
        """Bring back what was archived last."""
        self.perform(acting.undo(self), doing="bringing back")

    def action_delete(self) -> None:
        """Delete those that are archived."""
        self.perform(acting.delete(self), doing="deleting")

    def action_export(self) -> None:
        """Write them into a file."""
        self.perform(acting.export(self), doing="exporting")

    def action_trace(self) -> None:
        """Show everything that has the same correlation id."""
        row = self.current
        if row is None:
            return
        if row.correlation_id or row.event_id:
            self.monitor.open_trace(row.correlation_id or row.event_id, at=f"failure:{row.id}")
        else:
            self.tell("The message has neither a correlation id nor an event id.")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide `$EDITOR` where the terminal cannot be handed over."""
        from monitor.editing.outside import can_suspend

        if action == "edit_outside" and not can_suspend(self.app):
            return False
        return super().check_action(action, parameters)
