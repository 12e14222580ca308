"""The line at the bottom: what the keys do here, or the filter that is being typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Static

from monitor.drawing.text import line, plain
from monitor.frame.hints import Hints
from monitor.keys import bindings

if TYPE_CHECKING:
    from monitor.frame.page import Page
    from monitor.table.table import Table

#: Seconds after the last key until a filter is applied.
PATIENCE = 0.12


class FilterInput(Input):
    """The text of a filter."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("filter")

    DEFAULT_CSS = """
    FilterInput, FilterInput:focus { border: none; height: 1; padding: 0; width: 1fr; background: $surface; }
    """

    def action_clear(self) -> None:
        """Show all rows again."""
        self.value = ""
        self.action_done()

    def action_done(self) -> None:
        """Leave the filter as it is, and go to the rows."""
        if isinstance(self.parent, CommandLine):
            self.parent.end_filter()


class CommandLine(Horizontal):
    """One line. While a filter is typed it holds that, else the hints."""

    DEFAULT_CSS = """
    CommandLine { dock: bottom; height: 1; background: $surface; }
    CommandLine .commandline--slash { width: auto; padding: 0 0 0 1; color: $text-primary; display: none; }
    CommandLine .commandline--wrong { width: auto; max-width: 70%; padding: 0 1; display: none; }
    CommandLine FilterInput { display: none; }
    CommandLine.-asking .commandline--slash, CommandLine.-asking .commandline--wrong { display: block; }
    CommandLine.-asking FilterInput { display: block; }
    CommandLine.-asking Hints { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._table: Table[Any] | None = None
        self._pending: Any = None

    def compose(self) -> ComposeResult:
        """Hints, and what is needed to type a filter."""
        yield Hints()
        yield Static("/", classes="commandline--slash", markup=False)
        yield FilterInput()
        yield Static("", classes="commandline--wrong", markup=False)

    def ask_filter(self, table: Table[Any]) -> None:
        """Have a filter typed for this table; it is applied while it is typed."""
        self._table = table
        field = self.query_one(FilterInput)
        field.placeholder = table.terms
        with field.prevent(Input.Changed):
            field.value = table.listing.filter
        self._say("")
        self.app.clear_notifications()  # they would stand on this line
        self.add_class("-asking")
        field.focus()

    def end_filter(self) -> None:
        """Apply what was typed, and give the line back to the hints; what is wrong stays until it is mended."""
        if self._apply() is not None:
            return
        self.remove_class("-asking")
        if self._table is not None:
            self._table.focus()

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        message.stop()
        if self._pending is not None:
            self._pending.stop()
        self._pending = self.set_timer(PATIENCE, self._apply)

    @on(Input.Blurred)
    def _left(self, message: Input.Blurred) -> None:
        message.stop()
        if self.has_class("-asking") and self.screen.is_current:
            wrong = self._apply()
            self.remove_class("-asking")
            if wrong is not None:
                cast("Page", self.screen).tell(f"The filter is wrong {wrong}", "warn", title="It was not applied")

    def _apply(self) -> str | None:
        """What is wrong with the filter, and where; None when it is applied."""
        from engine import FilterError

        if self._pending is not None:
            self._pending.stop()
            self._pending = None
        if self._table is None:
            return None
        wrong = None
        try:
            self._table.narrow(self.query_one(FilterInput).value.strip())
        except FilterError as error:
            wrong = f"at {error.column + 1}: {error.message}"
        self._say(wrong or "")
        return wrong

    def _say(self, wrong: str) -> None:
        said = line(("✗ ", "bad"), (wrong, "bad")) if wrong else plain("enter applies, esc clears", "muted")
        self.query_one(".commandline--wrong", Static).update(said)
