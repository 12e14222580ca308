"""What the side pane says of a cause, and of a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from engine.operations.text import visible
from monitor.drawing.charts import sparkline
from monitor.drawing.figures import counted
from monitor.failures.message import body_section, facts, headers_section, headline, traceback_section
from monitor.failures.wording import ago, group_state
from monitor.reading.lines import EMPTY, Line, Part, columns, line
from monitor.reading.sections import joined

if TYPE_CHECKING:
    from engine.operations.failures import FailureDetail, Group
    from monitor.reading.sections import Section
    from monitor.source.source import Source


async def read(source: Source, failure_id: int, draw: Callable[[FailureDetail], Sequence[Line]]) -> Sequence[Line]:
    """Read a failure whole and put it into lines."""
    from engine.operations import failures

    detail = await failures.one(source.database(), failure_id, masking=source.masking)
    return await asyncio.to_thread(draw, detail)  # a large body takes long


def cause_lines(group: Group, now: float, newest: FailureDetail | None = None) -> list[Line]:
    """A cause: how it fares, and its newest failure; whole, once that was read."""
    state = group_state(group, now)
    counts = ", ".join(f"{number:,} {status}" for status, number in group.statuses.items())
    figures = columns(
        (
            ("failures", visible(counts)),
            ("first", ago(group.first_seen, now)),
            ("last", ago(group.last_seen, now)),
            (
                "last day",
                f"{sparkline(group.buckets, len(group.buckets))}  most at once {max(group.buckets, default=0):,}",
            ),
        )
    )
    return [
        *headline(group.latest)[:1],
        line(Part(str(state), state.tone), f"  {counted(group.total, 'failure')}"),
        EMPTY,
        *figures,
        EMPTY,
        line(Part("─ The newest ", "title")),
        *facts(group.latest if newest is None else newest.row, now),
        *([] if newest is None else joined([_traceback(newest), body_section(newest)])),
    ]


def failure_lines(detail: FailureDetail, now: float) -> list[Line]:
    """A failure, what matters most first."""
    sections = [body_section(detail), _traceback(detail), headers_section(detail)]
    return [*headline(detail.row), EMPTY, *facts(detail.row, now), *joined(sections)]


def _traceback(detail: FailureDetail) -> Section:
    """The user's own frames; here no key shows the others."""
    return traceback_section(detail)._replace(note="")
