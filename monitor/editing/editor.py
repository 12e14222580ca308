"""Editing the body of a failed message: checked while one types, saved with ctrl+s, and then redriven."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.events import Resize
from textual.timer import Timer
from textual.widgets import Static, TextArea

from monitor.drawing.figures import counted
from monitor.drawing.text import line
from monitor.editing.area import BodyArea
from monitor.editing.describing import change_lines, difference_lines, proposal_lines
from monitor.editing.outside import can_suspend, edit_outside
from monitor.failures.wording import cause
from monitor.frame.page import Page
from monitor.frame.split import WIDE
from monitor.keys import bindings
from monitor.reading.lines import EMPTY, Line, Part
from monitor.reading.lines import line as to_read
from monitor.reading.pager import Pager

if TYPE_CHECKING:
    from engine.operations.checking import Checker
    from engine.operations.editing import Draft, Proposal

#: Characters up to which a body is edited here; beyond, only in the operator's own editor.
EDITABLE = 256 * 1024
#: Seconds without a key after which an edit is checked.
REST = 0.25


class Checked(NamedTuple):
    """What an edit amounts to, or why it cannot be read, and where (lines and columns from 0)."""

    text: str
    proposal: Proposal | None
    wrong: str = ""
    place: tuple[int, int] | None = None


class EditorPage(Page):
    """The body, beside it the difference, below it what is wrong. `outside`: begin in `$EDITOR`."""

    GROUP = "editor"
    AUTO_FOCUS = "BodyArea"
    BINDINGS: ClassVar[list[BindingType]] = bindings("editor")
    DEFAULT_CSS: ClassVar[str] = """
    EditorPage .editor--title { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    EditorPage #parts { height: 1fr; }
    EditorPage BodyArea { width: 1fr; }
    EditorPage #difference { width: 1fr; display: none; border-left: vkey $foreground 18%; }
    EditorPage #parts.-wide #difference, EditorPage #parts.-difference #difference { display: block; }
    EditorPage #parts.-difference BodyArea { display: none; }
    EditorPage #parts.-wide.-difference BodyArea { display: block; }
    EditorPage #problems { height: auto; max-height: 7; background: $surface; }
    """

    def __init__(self, failure_id: int, *, outside: bool = False) -> None:
        super().__init__()
        self._failure_id = failure_id
        self._outside = outside
        self._draft: Draft | None = None
        self._checker: Checker | None = None
        self._resting: Timer | None = None
        #: The text, where it is too long to be edited here.
        self._long: str | None = None
        self._saved = ""

    def body(self) -> ComposeResult:
        """The editor, what differs, and what is wrong."""
        yield Static("", classes="editor--title", markup=False)
        with Horizontal(id="parts"):
            yield BodyArea(is_json=False, read_only=True)
            yield Pager(id="difference")
        yield Pager(id="problems")

    async def fetch(self) -> Draft | None:
        """The draft, once: what is edited is not read again below the operator's hands."""
        if self._draft is not None:
            return None
        from engine.operations import editing
        from engine.operations.checking import Checker

        found = await editing.draft(self.source.database(), self._failure_id, masking=self.source.masking)
        self._checker = await asyncio.to_thread(Checker.load, self.source.settings)
        return found

    def show(self, found: Draft | None) -> None:
        """Begin to edit."""
        if found is None or self._draft is not None:
            return
        self._draft, self._saved = found, found.text
        row = found.detail.row
        self.query_one(".editor--title", Static).update(
            line(
                (f"Edit #{row.id}", "strong"),
                f"  {row.event_type} for {row.handler or row.queue}  ",
                (cause(row), "bad"),
            )
        )
        if found.kind == "bytes":
            self._say([to_read(Part("These bytes are no text, so they cannot be edited. x exports them.", "bad"))])
            return
        self._load(found.text)
        if self._outside:
            self.action_outside()

    @property
    def text(self) -> str:
        """The text as it is edited."""
        return self.query_one(BodyArea).text if self._long is None else self._long

    def _load(self, text: str) -> None:
        """Edit this text, here if it is not too long."""
        area = self.query_one(BodyArea)
        self._long = text if len(text) > EDITABLE else None
        area.read_only = self._long is not None or self.source.read_only
        with self.prevent(TextArea.Changed):
            area.put(text if self._long is None else text[:EDITABLE], is_json=self._is_json)
        area.focus()
        self.refresh_bindings()  # while the text was read-only, it took no keys for itself
        self._check()

    @property
    def _is_json(self) -> bool:
        return self._draft is not None and self._draft.kind == "json"

    @on(TextArea.Changed)
    def _typed(self) -> None:
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(REST, self._check)

    def _check(self) -> None:
        if self._draft is not None:
            self.run_worker(self._examine(self.text), group="check", exclusive=True, exit_on_error=False)

    async def _examine(self, text: str) -> None:
        checked = await self._checked(text)
        before = "" if self._draft is None else self._draft.original_text
        differing = await asyncio.to_thread(difference_lines, before, text)
        self._judge(checked, differing)

    async def _checked(self, text: str) -> Checked:
        from engine.operations import editing

        assert self._draft is not None
        try:
            return Checked(text, await asyncio.to_thread(editing.propose, self._draft, text, self._checker))
        except editing.EditError as error:
            place = None if error.line is None else (error.line, error.column or 0)
            return Checked(text, None, str(error), place)

    def _judge(self, checked: Checked, differing: list[Line]) -> None:
        """Say what is wrong below the text, and what differs beside it."""
        lines: list[Line] = []
        if self._long is not None:
            size = counted(len(self._long), "character")
            where = "ctrl+o opens it in $EDITOR" if can_suspend(self.app) else "export it to edit it"
            lines.append(to_read(Part(f"{size}: too long to edit here, {where}.", "warn")))
        if checked.proposal is None:
            spot = "" if checked.place is None else f"line {checked.place[0] + 1}, column {checked.place[1] + 1}: "
            lines += [to_read(Part(f"✗ {spot}", "bad"), part) for part in checked.wrong.split("\n")[:1]]
        else:
            lines += proposal_lines(checked.proposal)
        self._say(lines)
        changes = [] if checked.proposal is None else [*change_lines(checked.proposal.changes), EMPTY]
        self.query_one("#difference", Pager).show([to_read(Part("─ Changes ", "title")), *changes, *differing])

    def _say(self, lines: list[Line]) -> None:
        self.query_one("#problems", Pager).show(lines)

    def on_resize(self, event: Resize) -> None:
        """The difference beside the text, where there is room."""
        self.query_one("#parts").set_class(self.app.size.width >= WIDE, "-wide")

    # --- keys -------------------------------------------------------------------------------

    def action_difference(self) -> None:
        """Show the difference in place of the text, or the text again."""
        shown = self.query_one("#parts").toggle_class("-difference").has_class("-difference")
        (self.query_one("#difference", Pager) if shown else self.query_one(BodyArea)).focus()

    def action_revert(self) -> None:
        """Back to the body as it was sent."""
        if self._draft is not None:
            self._load(self._draft.original_text)

    def action_outside(self) -> None:
        """Edit it in the operator's own editor."""
        self.perform(self._edit_outside(), doing="editing")

    async def _edit_outside(self) -> None:
        if self._draft is None or self._draft.kind == "bytes":
            return
        edited = await edit_outside(self.app, self.text, ".json" if self._is_json else ".txt")
        if edited is not None:
            self._load(edited)

    def action_save(self) -> None:
        """Save it, and go on to the plan of its redrive."""
        self.perform(self._save(), doing="saving the edit")

    async def _save(self) -> None:
        from engine.operations import editing
        from monitor.frame.dialogs import Prompt
        from monitor.redriving.plan import PlanPage

        if self._draft is None:
            return
        checked = await self._checked(self.text)
        self._judge(checked, difference_lines(self._draft.original_text, checked.text))
        proposal = checked.proposal
        if proposal is None or proposal.problems:
            self._show_place(checked)
            self.tell("Not saved: see below the text.", "bad")
            return
        if not proposal.changes and self._draft.edit is None:
            self.tell("Nothing is changed.")
            return
        fields = counted(len(proposal.changes), "field")
        asked = Prompt(f"Save the edit: {fields} changed", "Why? It is kept with the edit.", optional=True, verb="Save")
        why = await self.prompt(asked)
        if why is None:
            return
        await editing.save(self.source.database(), self._draft, proposal, operator=self.source.operator, why=why)
        self._saved = checked.text
        self.monitor.switch_screen(PlanPage([self._failure_id], why=why))

    def _show_place(self, checked: Checked) -> None:
        area = self.query_one(BodyArea)
        if checked.place is not None and self._long is None:
            row = min(checked.place[0], area.document.line_count - 1)
            area.move_cursor((row, min(checked.place[1], len(area.document.get_line(row)))))
        area.focus()

    @property
    def unsaved(self) -> bool:
        """Whether the text is not the one that was read or saved."""
        return self._draft is not None and self.text != self._saved

    def action_back(self) -> None:
        """Leave; what was typed and not saved is asked for first."""
        if self.unsaved:
            self.perform(self._leave(), doing="leaving")
        else:
            super().action_back()

    async def _leave(self) -> None:
        from monitor.frame.dialogs import Question

        if await self.confirm(Question("Leave without saving?", ["What was typed is lost."], verb="Leave")):
            super().action_back()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide `$EDITOR` where the terminal cannot be handed over."""
        if action == "outside" and not can_suspend(self.app):
            return False
        return super().check_action(action, parameters)
