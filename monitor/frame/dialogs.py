"""Questions before something changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from monitor.drawing.text import lines, plain
from monitor.keys import bindings

T = TypeVar("T")

#: From so many things on their count must be typed.
LARGE = 100


@dataclass(frozen=True)
class Question:
    """What is asked. `lines` say what will happen; `count` things are changed; `verb` is what the button says.

    `why`: ask for the reason too, for the audit.
    """

    title: str
    lines: Sequence[str] = ()
    count: int = 0
    verb: str = "Do it"
    large: int = LARGE
    why: bool = False


class Agreed(NamedTuple):
    """The user agreed; `why`, where that was asked for."""

    why: str = ""


class Prompt(NamedTuple):
    """A line that is asked for. `check` answers what is wrong with a text, or nothing."""

    title: str
    label: str = ""
    value: str = ""
    optional: bool = False
    verb: str = "OK"
    check: Callable[[str], str] = lambda _: ""


class Dialog(ModalScreen[T]):
    """A box in the middle; escape cancels."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog")

    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 55%; }
    Dialog > Vertical { width: 72; max-width: 94%; height: auto; max-height: 90%; background: $surface;
        border: round $primary; padding: 1 2; }
    Dialog .dialog--title { text-style: bold; margin-bottom: 1; }
    Dialog VerticalScroll { height: auto; max-height: 14; margin-bottom: 1; }
    Dialog .dialog--wrong { color: $text-error; height: auto; }
    Dialog Input { margin-bottom: 1; }
    Dialog Horizontal { height: auto; align-horizontal: right; }
    Dialog Button { margin-left: 2; }
    """

    def action_cancel(self) -> None:
        """Nothing is done."""
        self.dismiss(None)

    def action_next(self) -> None:
        """To the next part."""
        self.focus_next()

    def action_previous(self) -> None:
        """To the part before."""
        self.focus_previous()

    @on(Button.Pressed, "#cancel")
    def _cancelled(self) -> None:
        self.dismiss(None)


class Confirm(Dialog[Agreed]):
    """Asks whether to go on; for a large number of things that number must be typed. Answers `Agreed`, or None."""

    def __init__(self, question: Question) -> None:
        super().__init__()
        self._question = question
        self._large = question.count >= question.large

    def compose(self) -> ComposeResult:
        """The question, and two buttons."""
        asked = self._question
        with Vertical():
            yield Static(plain(asked.title), classes="dialog--title")
            if asked.lines:
                with VerticalScroll(can_focus=False):
                    yield Static(lines("\n".join(asked.lines)))
            if asked.why:
                yield Input(placeholder="why (for the audit; may be left empty)", id="why")
            if self._large:
                yield Static(plain(f"Type {asked.count} to go on."))
                yield Input(id="count")
            with Horizontal():
                yield Button("Cancel", id="cancel", compact=True)
                yield Button(plain(asked.verb), id="go", variant="warning", compact=True, disabled=self._large)

    def on_mount(self) -> None:
        """The safe button has the focus."""
        self.query_one("#why" if self._question.why else "#count" if self._large else "#cancel").focus()

    @on(Input.Changed, "#count")
    def _typed(self, message: Input.Changed) -> None:
        self.query_one("#go", Button).disabled = not self._agrees(message.value)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        """Enter goes on to what is still to be said, and at last does it."""
        if self._large and not self._agrees(self.query_one("#count", Input).value):
            self.query_one("#count").focus()
        elif self._large or not self.query_one("#go").has_focus:
            self._agreed() if self._large else self.query_one("#go").focus()

    def _agrees(self, text: str) -> bool:
        return text.strip().replace(",", "") == str(self._question.count)

    @on(Button.Pressed, "#go")
    def _agreed(self) -> None:
        self.dismiss(Agreed(self.query_one("#why", Input).value.strip() if self._question.why else ""))


class Ask(Dialog[str]):
    """Asks for a line of text. Answers it, or None."""

    def __init__(self, prompt: Prompt) -> None:
        super().__init__()
        self._prompt = prompt

    def compose(self) -> ComposeResult:
        """The label, the line, and two buttons."""
        asked = self._prompt
        with Vertical():
            yield Static(plain(asked.title), classes="dialog--title")
            if asked.label:
                yield Static(lines(asked.label))
            yield Input(asked.value, id="answer")
            yield Static("", classes="dialog--wrong", markup=False)
            with Horizontal():
                yield Button("Cancel", id="cancel", compact=True)
                yield Button(plain(asked.verb), id="go", variant="primary", compact=True)

    def on_mount(self) -> None:
        """One can type at once."""
        self.query_one("#answer").focus()

    @on(Input.Submitted, "#answer")
    @on(Button.Pressed, "#go")
    def _given(self) -> None:
        text = self.query_one("#answer", Input).value.strip()
        wrong = self._prompt.check(text)
        if not wrong and not text and not self._prompt.optional:
            wrong = "Something must be said here."
        if wrong:
            self.query_one(".dialog--wrong", Static).update(plain(wrong, "bad"))
        else:
            self.dismiss(text)
