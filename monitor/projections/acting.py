"""Pausing and resuming projections, and skipping events: asked, done, and told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.frame.dialogs import Question

if TYPE_CHECKING:
    from engine.operations.projections import CopyState, ProjectionState
    from monitor.frame.page import Page


async def toggle(page: Page, state: ProjectionState) -> None:
    """Ask, and pause it; or have it go on where it is paused or waits to try an event again."""
    from engine.operations import projections

    database, by = page.source.database(), page.source.operator
    if state.live.pause is not None or state.live.failed is not None:
        what = "It goes on" if state.live.pause is not None else "It tries the event again at once"
        agreed = await page.confirm(Question(f"Resume {state.name}?", [f"{what}."], verb="Resume", why=True))
        if agreed is not None:
            changed = await projections.resume(database, state.name, operator=by, why=agreed.why)
            page.tell(f"Resumed {state.name}." if changed else "It was neither paused nor failing.", "good")
        return
    said = ["It stands still in all workers until it is resumed, and its tables with it."]
    agreed = await page.confirm(Question(f"Pause {state.name}?", said, verb="Pause", why=True))
    if agreed is not None:
        changed = await projections.pause(database, state.name, operator=by, why=agreed.why)
        page.tell(f"Paused {state.name}." if changed else "It was paused already.")


async def skip(page: Page, state: ProjectionState, copy: CopyState | None) -> None:
    """Ask, and leave out the event that a copy stands at: that one, and no other that it comes to meanwhile."""
    from engine.operations import projections

    if copy is None or copy.failed is None:
        page.tell(f"{state.name} stands at no event that fails.")
        return
    failed = copy.failed
    which = "The rebuilt tables" if copy.suffix else "Its tables"
    said = [
        f"event {failed['position']:,}, {failed['event_type']} {failed['event_id']}",
        f"{failed['error']}",
        "",
        f"{which} will be without what that event says; the log keeps it.",
    ]
    agreed = await page.confirm(Question(f"Leave an event out of {state.name}?", said, verb="Leave it out", why=True))
    if agreed is None:
        return
    done = await projections.skip(
        page.source.database(),
        state.name,
        suffix=copy.suffix,
        event_id=failed["event_id"],
        operator=page.source.operator,
        why=agreed.why,
    )
    page.tell("Left out." if done else "It does not stand there any more; nothing was changed.", "good" if done else "")


async def show_event(page: Page, state: ProjectionState | None) -> None:
    """Show the event that a projection stands at."""
    from monitor.events.whole import EventPage

    if state is not None and state.live.failed is not None:
        page.monitor.push_screen(EventPage(int(state.live.failed["position"])))
