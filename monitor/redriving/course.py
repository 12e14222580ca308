"""The plan of a redrive or a replay: what would go where, how fast, and why. Nothing is sent before it is started."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Input, Static

from engine import BrokerUnavailable, UsageError
from monitor.drawing.figures import counted
from monitor.drawing.text import plain
from monitor.frame.page import Page
from monitor.keys import bindings
from monitor.reading.pager import Pager
from monitor.redriving.choice import Choice
from monitor.redriving.describing import stops_words

if TYPE_CHECKING:
    from engine.operations.connecting import Broker
    from engine.operations.progress import Options
    from monitor.reading.lines import Line

P = TypeVar("P")

#: Seconds that the broker has to say whether the queues are there.
PATIENCE = 3.0


class CoursePage(Page, Generic[P]):
    """A dry run, and the choice of canary and rate. Starting shows the operation in its place.

    A subclass says what is planned, and how it is started. `VERB` is what is done, as `Redrive`.
    """

    VERB: ClassVar[str]

    GROUP = "plan"
    AUTO_FOCUS = "#start"
    BINDINGS: ClassVar[list[BindingType]] = bindings("plan")
    DEFAULT_CSS: ClassVar[str] = """
    CoursePage VerticalScroll { height: 1fr; padding: 1 2 0 2; }
    CoursePage .plan--title { text-style: bold; color: $text-primary; }
    CoursePage Pager { height: auto; max-height: 14; margin: 1 0; padding: 0; }
    CoursePage .plan--row { height: 1; }
    CoursePage .plan--label { width: 12; color: $text-muted; }
    CoursePage .plan--row Input { height: 1; border: none; padding: 0 1; background: $boost; width: 10; }
    CoursePage .plan--row Input:focus { background: $primary 30%; border: none; }
    CoursePage #stops { padding-left: 1; }
    CoursePage #why { width: 1fr; max-width: 70; }
    CoursePage Choice { height: 1; border: none; padding: 0; background: transparent; margin-left: 2; }
    CoursePage .plan--after { color: $text-muted; padding-left: 2; width: 1fr; }
    CoursePage .plan--buttons { height: 1; margin-top: 1; }
    CoursePage Button { margin-right: 2; }
    CoursePage .plan--wrong { height: auto; color: $text-error; }
    """

    def __init__(self, chosen: int, *, why: str = "") -> None:
        super().__init__()
        self._chosen = chosen
        self._why = why
        self._again = False
        self._plan: P | None = None
        self._made_for: bool | None = None
        #: Whether the broker was asked if the queues are there.
        self._asked = False

    async def make(self, broker: Broker | None, *, again: bool) -> P:
        """The dry run; without a `broker` it is not known which queues are there. `again`: also of what succeeded already."""
        raise NotImplementedError

    def planned(self, plan: P) -> Sequence[int]:
        """What would be sent."""
        raise NotImplementedError

    def lines(self, plan: P) -> list[Line]:
        """How many go where, and why others do not."""
        raise NotImplementedError

    def where(self, plan: P) -> Sequence[str]:
        """The queues that they go to."""
        raise NotImplementedError

    async def start(self, plan: P, options: Options, why: str) -> str:
        """Record the operation; its id."""
        raise NotImplementedError

    def body(self) -> ComposeResult:
        """The counts, the choices, and two buttons."""
        with VerticalScroll(can_focus=False):
            yield Static("Looking at what would go where …", classes="plan--title", markup=False)
            yield Pager(id="counts")
            with Horizontal(classes="plan--row"):
                yield Static("canary", classes="plan--label", markup=False)
                yield Input("", id="canary", type="integer", compact=True)
                yield Static("sent first; the rest when all of them succeed", classes="plan--after", markup=False)
            with Horizontal(classes="plan--row"):
                yield Static("rate", classes="plan--label", markup=False)
                yield Input("", id="rate", type="number", placeholder="no limit", compact=True)
                yield Static("messages a second at most", classes="plan--after", markup=False)
            with Horizontal(classes="plan--row"):
                yield Static("", classes="plan--label", markup=False)
                yield Choice("begin with 1/s, then ten times more at each step", id="ramp", compact=True)
            with Horizontal(classes="plan--row"):
                yield Static("stop", classes="plan--label", markup=False)
                yield Static("", id="stops", classes="plan--after", markup=False)
            with Horizontal(classes="plan--row"):
                yield Static("why", classes="plan--label", markup=False)
                yield Input(self._why, id="why", placeholder="for the audit", compact=True)
            yield Static("", classes="plan--wrong", markup=False)
            with Vertical(classes="plan--buttons"), Horizontal():
                yield Button(self.VERB, id="start", variant="warning", compact=True, disabled=True)
                yield Button("Cancel", id="cancel", compact=True)

    async def fetch(self) -> P | None:
        """The dry run; made once, and again when the choice of what is sent changes."""
        if self._made_for is self._again:
            return None
        again = self._again
        made = await self._dry_run(again)
        self._made_for = again
        return made

    async def _dry_run(self, again: bool) -> P:
        """With what the broker says of the queues; without, where it does not answer: the database knows the rest."""
        self._asked = self.source.broker_state.word == "up"
        if self._asked:
            try:
                async with asyncio.timeout(PATIENCE):
                    return await self.make(self.source.broker(), again=again)
            except (BrokerUnavailable, TimeoutError):
                self._asked = False
        return await self.make(None, again=again)

    def show(self, found: P | None) -> None:
        """The counts, and what is sensible for so many."""
        if found is None:
            return
        first, self._plan = self._plan is None, found
        number = len(self.planned(found))
        chosen = "" if number == self._chosen else f" of {self._chosen:,} chosen"
        self.query_one(".plan--title", Static).update(plain(f"{self.VERB} {counted(number, 'message')}{chosen}"))
        self.query_one("#counts", Pager).show(self.lines(found))
        start = self.query_one("#start", Button)
        start.label = plain(f"{self.VERB} {number:,}")
        start.disabled = not number
        if first:
            from engine.operations.progress import default_options

            canary = default_options(number).canary if self.monitor.CANARY is None else self.monitor.CANARY
            self.query_one("#canary", Input).value = str(min(canary, number))
            self.query_one("#stops", Static).update(
                plain(f"by itself {stops_words(default_options(number))} of the outcomes")
            )
            self.query_one("#start" if number else "#cancel", Button).focus()

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.monitor.pop_screen()

    @on(Button.Pressed, "#start")
    def action_start(self) -> None:
        """Start it."""
        self.perform(self._start(), doing=f"starting the {self.VERB.lower()}")

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        self.query_one("#start", Button).focus()

    async def _start(self) -> None:
        from monitor.frame.dialogs import Question
        from monitor.redriving.operation import OperationPage

        plan, number = self._plan, 0 if self._plan is None else len(self.planned(self._plan))
        if plan is None or not number:
            return
        options = self._options(number)
        lines = [f"to {queue}" for queue in self.where(plan)]
        question = Question(f"{self.VERB} {counted(number, 'message')}?", lines[:10], number, self.VERB)
        if number >= question.large and not await self.confirm(question):
            return
        made = await self.start(plan, options, self.query_one("#why", Input).value.strip())
        self.monitor.switch_screen(OperationPage(made, mine=True))

    def _options(self, number: int) -> Options:
        """The choices as they were typed. Raises `UsageError` for what is no number."""
        from engine.operations.progress import default_options

        canary, rate = (self.query_one(f"#{name}", Input).value.strip() for name in ("canary", "rate"))
        try:
            return default_options(number)._replace(
                canary=min(int(canary or 0), number),
                rate=float(rate) if rate else None,
                ramp=self.query_one("#ramp", Choice).value,
            )
        except ValueError:
            raise UsageError(
                "canary and rate are numbers", hint="Leave a field empty for no canary and no limit."
            ) from None
