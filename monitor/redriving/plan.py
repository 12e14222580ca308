"""The plan of a redrive: failures by their ids, frozen, go back to their queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from monitor.redriving.course import CoursePage
from monitor.redriving.describing import plan_lines

if TYPE_CHECKING:
    from engine.operations.connecting import Broker
    from engine.operations.progress import Options
    from engine.operations.redrive import Plan
    from monitor.reading.lines import Line


class PlanPage(CoursePage["Plan"]):
    """The redrive of these failures."""

    VERB = "Redrive"

    def __init__(self, ids: Sequence[int], *, why: str = "") -> None:
        super().__init__(len(ids), why=why)
        self._ids = tuple(ids)

    async def make(self, broker: Broker | None, *, again: bool) -> Plan:
        """What would go back to its queue."""
        from engine.operations import redrive
        from engine.operations.failures import Filter

        return await redrive.plan(self.source.database(), broker, Filter(ids=self._ids), again=again)

    def planned(self, plan: Plan) -> Sequence[int]:
        """The ids that would be sent."""
        return plan.ids

    def lines(self, plan: Plan) -> list[Line]:
        """How many go where, and why others do not."""
        return plan_lines(plan, asked=self._asked)

    def where(self, plan: Plan) -> Sequence[str]:
        """Their queues."""
        return list(plan.queues())

    async def start(self, plan: Plan, options: Options, why: str) -> str:
        """Record the redrive."""
        from engine.operations import redrive

        source = self.source
        made = await redrive.start(
            source.database(), plan, app=source.settings.app, operator=source.operator, why=why, options=options
        )
        return made.id

    def action_again(self) -> None:
        """Also run once more what succeeded meanwhile, or not."""
        self._again = not self._again
        self.refresh_now()
