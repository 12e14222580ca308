"""What an aggregate was at a version, in lines to read. Pure, and run in a thread where a state is long."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.operations.text import visible
from monitor.drawing.figures import age
from monitor.editing.describing import change_lines
from monitor.events.wording import about
from monitor.failures.wording import moment
from monitor.reading.lines import Line, Part, line
from monitor.reading.sections import Section, body_part, joined

if TYPE_CHECKING:
    from engine.operations.events import EventDetail
    from engine.operations.streams import State


class Seen(NamedTuple):
    """A version of a stream: its event, and what the aggregate was after it, or why that is not known."""

    detail: EventDetail
    state: State | None
    why_not: str = ""


def head(seen: Seen, now: float) -> list[Line]:
    """Which version it is, and by which event."""
    row = seen.detail.row
    title = f"{about(row)} @{row.version or 0:,}"
    when = f"{moment(row.recorded, now)}, {age(max(now - row.recorded, 0.0))} ago"
    return [
        line(Part(visible(title), "title")),
        line(Part(visible(row.event_type), "strong"), "  ", Part(when, "muted")),
    ]


def state_sections(seen: Seen) -> list[Section]:
    """What the event changed, and the state; or why there is none."""
    state = seen.state
    if state is None:
        return [Section("State", "", [line(Part(f"▲ not known: {visible(seen.why_not)}", "warn"))])]
    wrong = [line(Part(f"✗ {visible(state.problem)}", "bad"))] if state.problem else []
    if state.state is None:
        return [Section("State", "", wrong)]
    changed = change_lines(state.changes) or [line(Part("nothing", "muted"))]
    whole = body_part(state.state, title=f"State at version {state.version:,}")
    if state.problem:
        return [Section("What went wrong", "", wrong), whole]
    return [Section("What the event changed", "", changed), whole]


def version_lines(seen: Seen, now: float) -> list[Line]:
    """A version: what it changed, the state, and the event's body."""
    row = seen.detail.row
    event = body_part(seen.detail.message.body, title=f"Event {row.position:,}")
    return [*head(seen, now), *joined([*state_sections(seen), event])]
