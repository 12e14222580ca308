"""Checks of the projections."""

from __future__ import annotations

from collections.abc import Sequence

from engine.operations.doctor.finding import Finding, fail, ok, warn
from engine.operations.durations import format_duration
from engine.operations.projections import UNATTENDED, CopyState, ProjectionState

#: Seconds behind the log from which a projection is named.
BEHIND = 60.0


def check_projections(states: Sequence[ProjectionState]) -> list[Finding]:
    """Projections that stand still or are far behind."""
    found = [
        finding
        for state in states
        for copy in (state.live, state.rebuild)
        if copy is not None and (finding := _check(state, copy)) is not None
    ]
    if found or not states:
        return found
    return [ok("projections", f"{len(states)} keep up with the log")]


def _check(state: ProjectionState, copy: CopyState) -> Finding | None:
    name = f"{state.name} (rebuilt)" if copy.suffix else state.name
    if copy.failed is not None:
        failed = copy.failed
        what = (
            f"{name} stands at event {failed['position']}, {failed['event_type']} {failed['event_id']}, "
            f"tried {failed['attempts']} times: {failed['error']}"
        )
        option = " --rebuild" if copy.suffix else ""
        return fail(
            "projections", what, f"Mend what fails, or leave it out: `warren projections skip {state.name}{option}`."
        )
    lag = f"{copy.behind:,} events, {format_duration(round(copy.behind_s))} behind the log"
    if copy.pause is not None:
        return warn("projections", f"{name} is paused, {lag}", f"`warren projections resume {state.name}`")
    if copy.state == UNATTENDED and copy.behind:
        return warn("projections", f"no worker looks after {name}, {lag}", "Start a worker with its plugin.")
    if copy.behind_s >= BEHIND and not copy.suffix:
        return warn("projections", f"{name} is {lag}", "See what its worker is at: `warren workers`, and its log.")
    return None
