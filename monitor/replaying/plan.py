"""The plan of a replay: events by their positions, frozen, go to one handler and to nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.operations.text import visible
from monitor.drawing.figures import counted
from monitor.reading.lines import EMPTY, Line, Part, Role, line
from monitor.redriving.course import CoursePage

if TYPE_CHECKING:
    from engine.operations.connecting import Broker
    from engine.operations.progress import Options
    from engine.operations.replay import Plan, Target

#: Types that a plan names one by one.
_MOST_TYPES = 6


class ReplayPage(CoursePage["Plan"]):
    """The replay of these events to this handler."""

    VERB = "Replay"

    def __init__(self, positions: Sequence[int], target: Target) -> None:
        super().__init__(len(positions))
        self._positions = tuple(positions)
        self._target = target

    async def make(self, broker: Broker | None, *, again: bool) -> Plan:
        """What would be sent to the handler once more."""
        from engine.operations import replay
        from engine.operations.events import EventFilter

        wanted = EventFilter(positions=self._positions)
        return await replay.plan(self.source.database(), broker, wanted, self._target)

    def planned(self, plan: Plan) -> Sequence[int]:
        """The positions that would be sent."""
        return plan.positions

    def lines(self, plan: Plan) -> list[Line]:
        """To whom, of which types, and why others are not sent."""
        from engine.operations.replay import MEANING, SENT

        to = plan.target
        found = [line(f"to {visible(to.handler)}, and to nobody else: {visible(to.queue)}")]
        found += [
            line(Part(f"{number:>9,}  ", "strong"), visible(kind))
            for kind, number in plan.types().most_common(_MOST_TYPES)
        ]
        found.append(EMPTY)
        for verdict, number in plan.verdicts().items():
            role: Role = "good" if verdict in SENT else "muted"
            found.append(line(Part(f"{'✓' if verdict in SENT else '–'} {number:>7,}  ", role), MEANING[verdict]))
        missing = self._chosen - len(plan.items)
        if missing > 0:
            are = "is" if missing == 1 else "are"
            said = f"{counted(missing, 'event')} {are} not in the log any more, not due yet, or cancelled"
            found.append(line(Part(f"– {missing:>7,}  ", "muted"), said))
        return [*found, line(Part("What it emits then goes to its subscribers as new events.", "muted"))]

    def where(self, plan: Plan) -> Sequence[str]:
        """Its queue."""
        return [plan.target.queue]

    async def start(self, plan: Plan, options: Options, why: str) -> str:
        """Record the replay."""
        from engine.operations import replay

        source = self.source
        made = await replay.start(
            source.database(), plan, app=source.settings.app, operator=source.operator, why=why, options=options
        )
        return made.id

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A replay always runs again what succeeded."""
        return False if action == "again" else super().check_action(action, parameters)
