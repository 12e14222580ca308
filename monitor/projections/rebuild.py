"""Rebuilding a projection beside its live tables: planned, begun, watched, compared, and swapped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import BindingType

from engine import UsageError
from monitor.events.listing import parsed
from monitor.frame.dialogs import Question
from monitor.frame.page import Page
from monitor.keys import bindings
from monitor.projections import acting, describing
from monitor.projections.rates import Rates
from monitor.reading.pager import Pager

if TYPE_CHECKING:
    from engine.operations.project import ProjectionSpec
    from engine.operations.projections import CopyState, ProjectionState
    from engine.operations.rebuilding import Comparison

#: Seconds between two looks: somebody is watching.
LOOK = 0.25
#: Tries to find both copies equally far, and seconds between them.
TRIES, PAUSE = 25, 0.2


class Course(NamedTuple):
    """How a rebuild stands. `log` is the position of the newest event; `spec` is None with `note`, which says why."""

    state: ProjectionState
    spec: ProjectionSpec | None
    note: str
    log: int
    rate: float | None


class RebuildPage(Page):
    """The rebuild of one projection. Nothing is done before it is agreed to."""

    GROUP = "rebuild"
    AUTO_FOCUS = "Pager"
    BINDINGS: ClassVar[list[BindingType]] = bindings("rebuild")
    DEFAULT_CSS: ClassVar[str] = """
    RebuildPage Pager { height: 1fr; padding: 1 2; }
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._called = name
        self._rates = Rates()
        self._course: Course | None = None
        self._compared: Comparison | None = None
        self._said = ""

    def body(self) -> ComposeResult:
        """What will be done, how far it is, and how both compare."""
        yield Pager()

    def on_mount(self) -> None:
        """Look more often than other screens do."""
        super().on_mount()
        self.set_interval(LOOK, self._look)

    def _look(self) -> None:
        if self.is_current and self._rebuilt is not None and not self.source.held:
            self._fetch()

    @property
    def _rebuilt(self) -> CopyState | None:
        return None if self._course is None else self._course.state.rebuild

    async def fetch(self) -> Course:
        """How it stands."""
        from engine.operations import events, projections

        source, now = self.source, self.source.now()
        project, database = await source.project(), source.database()
        found = await projections.list_projections(
            database, source.settings.app, tuple(project.projections.values()), now, source.liveness
        )
        state = next((each for each in found if each.name == self._called), None)
        if state is None:
            raise UsageError(f"there is no projection {self._called} any more")
        self._rates.feed([state], now)
        newest = await events.older(database, parsed(source, ""), limit=1)
        spec = project.projections.get(self._called)
        note = "" if spec is not None else project.note or "no plugin here declares it"
        pace = None if state.rebuild is None else self._rates.of(state.name, state.rebuild)
        return Course(state, spec, note, newest[0].position if newest else 0, pace)

    def show(self, found: Course) -> None:
        """Put it into words."""
        before, self._course = self._rebuilt, found
        now = found.state.rebuild
        if (before and before.suffix) != (now and now.suffix):
            self._compared = None  # it was of another copy
        self.refresh_bindings()
        width = self.size.width - 6
        self.query_one(Pager).show(
            describing.course_lines(found, self._compared, self.source.now(), width, said=self._said)
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what can be done at this point."""
        copy = self._rebuilt
        if action == "begin" and (copy is not None or self._course is None or self._course.spec is None):
            return False
        if action in ("compare", "swap", "cancel") and copy is None:
            return False
        if action in ("compare", "swap") and (self._course is None or self._course.spec is None):
            return False
        if action == "skip" and (copy is None or copy.failed is None):
            return False
        return super().check_action(action, parameters)

    def action_begin(self) -> None:
        """Begin."""
        self.perform(self._begin(), doing="beginning the rebuild")

    async def _begin(self) -> None:
        from engine.operations import rebuilding

        course = self._course
        if course is None or course.spec is None:
            return
        question = Question(f"Rebuild {self._called}?", describing.plan(course), verb="Begin", why=True)
        agreed = await self.confirm(question)
        if agreed is not None:
            self._said = ""
            await rebuilding.begin(
                self.source.database(),
                self.source.settings.app,
                course.spec,
                operator=self.source.operator,
                why=agreed.why,
            )
            self.tell(f"{self._called} is being rebuilt.", "good")

    def action_compare(self) -> None:
        """Compare both, as they are now."""
        self.perform(self._show_comparison(), doing="comparing")

    async def _show_comparison(self) -> None:
        await self._compare()

    async def _compare(self) -> Comparison | None:
        from engine.operations import rebuilding

        course = self._course
        if course is None or course.spec is None:
            return None
        self._tell_here("Comparing …")
        try:
            for _ in range(TRIES):
                found = await rebuilding.compare(self.source.database(), self.source.settings.app, course.spec)
                if found.level or course.state.live.state != "running":
                    break
                await asyncio.sleep(PAUSE)
        finally:
            self._tell_here("")
        self._compared = found
        return found

    def action_swap(self) -> None:
        """Put the rebuilt tables in the place of the live ones."""
        self.perform(self._swap(), doing="swapping")

    async def _swap(self) -> None:
        from engine.operations import rebuilding

        course, copy = self._course, self._rebuilt
        if course is None or course.spec is None or copy is None:
            return
        if copy.behind > course.spec.batch or copy.failed is not None:
            self.tell("The rebuilt tables are not as far as the log yet.", "warn")
            return
        found = self._compared or await self._compare()
        if found is None:
            return
        lines = [*describing.comparison_words(found), "", "The live tables are dropped."]
        question = Question("Put the rebuilt tables in the place of the live ones?", lines, verb="Swap", why=True)
        agreed = await self.confirm(question)
        if agreed is None:
            return
        for _ in range(TRIES):
            if await rebuilding.swap(
                self.source.database(),
                self.source.settings.app,
                course.spec,
                operator=self.source.operator,
                why=agreed.why,
            ):
                self._said = f"✓ Done: version {copy.version} is live."
                self._compared = None
                self.tell(f"{self._called} is rebuilt.", "good")
                return
            await asyncio.sleep(PAUSE)
        self.tell(
            "The live tables are always a little ahead: pause the projection for a moment, and try again.", "warn"
        )

    def action_skip(self) -> None:
        """Leave out the event that the copy stands at."""
        if self._course is not None:
            self.perform(acting.skip(self, self._course.state, self._rebuilt), doing="skipping the event")

    def action_cancel(self) -> None:
        """Drop what was rebuilt."""
        self.perform(self._cancel(), doing="giving the rebuild up")

    async def _cancel(self) -> None:
        from engine.operations import rebuilding

        copy = self._rebuilt
        if copy is None:
            return
        lines = [f"The tables …{copy.suffix} are dropped; the live ones stay as they are."]
        agreed = await self.confirm(Question("Give the rebuild up?", lines, verb="Give it up", why=True))
        if agreed is not None:
            done = await rebuilding.cancel(
                self.source.database(), self._called, operator=self.source.operator, why=agreed.why
            )
            self._said = "The rebuild was given up; the live tables stay." if done else "It was gone already."
            self.tell(self._said)

    def _tell_here(self, text: str) -> None:
        self._said = text
        if self._course is not None:
            self.show(self._course)
