"""What was edited in a failed message: by field, line by line, by whom and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import BindingType

from monitor.editing.describing import change_lines, difference_lines, edit_lines
from monitor.frame.page import Page
from monitor.keys import bindings
from monitor.reading.lines import EMPTY, Line, Part, line
from monitor.reading.pager import Pager

if TYPE_CHECKING:
    from engine.operations.editing import Change, Edit


class Difference(NamedTuple):
    """The edits of a failure, the newest first; of that one what it changed, and both texts, masked."""

    edits: Sequence[Edit]
    changes: Sequence[Change] = ()
    before: str = ""
    after: str = ""


class DifferencePage(Page):
    """The edit that waits for its redrive, or the last one that was sent."""

    GROUP = "difference"
    AUTO_FOCUS = "Pager"
    BINDINGS: ClassVar[list[BindingType]] = bindings("difference")

    def __init__(self, failure_id: int) -> None:
        super().__init__()
        self._failure_id = failure_id
        self._found: Difference | None = None

    def body(self) -> ComposeResult:
        """All of it, to read."""
        yield Pager()

    async def fetch(self) -> Difference:
        """The edits, and what the newest of them changed."""
        from engine.operations import editing

        edits = await editing.history(self.source.database(), self._failure_id)
        if not edits or (self._found is not None and self._found.edits == edits):
            return self._found or Difference(edits)
        changes = editing.edit_changes(edits[0], self.source.masking)
        return Difference(edits, changes, *editing.shown_edit(edits[0], self.source.masking))

    def show(self, found: Difference) -> None:
        """Draw it."""
        self._found = found
        lines: list[Line] = [line(Part(f"Edits of failure #{self._failure_id}", "title")), EMPTY]
        if not found.edits:
            lines.append(line(Part("It was not edited. esc leads back, and there e edits it.", "muted")))
        else:
            lines += [*edit_lines(found.edits, self.source.now()), EMPTY, *change_lines(found.changes), EMPTY]
            lines += difference_lines(found.before, found.after)
        self.query_one(Pager).show(lines)

    def action_revert(self) -> None:
        """Take the edit back that waits for its redrive."""
        self.perform(self._revert(), doing="taking the edit back")

    async def _revert(self) -> None:
        from engine.operations import editing
        from monitor.frame.dialogs import Question

        if self._found is None or not any(edit.state == "pending" for edit in self._found.edits):
            self.tell("No edit waits for a redrive.")
            return
        lines = ["The edit stays in the history."]
        if await self.confirm(Question("Go back to the original body?", lines, verb="Take it back")):
            by = self.source.operator
            if await editing.revert(self.source.database(), self._failure_id, operator=by, why="taken back"):
                self.tell("The body is the original again.", "good")
