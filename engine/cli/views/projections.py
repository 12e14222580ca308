"""What `warren projections list`, `show`, `pause`, `resume` and `skip` do and print."""

from __future__ import annotations

import time
from typing import Any

from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.cli.output import Column, number
from engine.errors import UsageError
from engine.operations import projections
from engine.operations.durations import format_duration
from engine.operations.projections import COUNTED, CopyState, ProjectionState
from engine.storage.database import Database

PROJECTIONS = (
    Column("name", "PROJECTION"),
    number("version", "VERSION"),
    Column("state", "STATE"),
    number("position", "POSITION"),
    Column("behind_shown", "BEHIND", True),
    number("applied", "APPLIED"),
    number("stale", "STALE"),
    number("skipped", "SKIPPED"),
    Column("worker", "LOOKED AFTER BY", show=lambda worker: worker or "nobody"),
)


async def look(call: Call, database: Database) -> list[ProjectionState]:
    """All projections of the application."""
    specs = call.projections_if_any()
    return await projections.list_projections(database, call.settings.app, specs, time.time())


async def show_all(call: Call) -> None:
    """List them."""
    async with call.database() as database:
        states = await look(call, database)
    if call.output.as_json:
        call.output.result({"items": [projections.as_dict(state) for state in states]})
        return
    rows = [row for state in states for row in _rows(state)]
    call.output.items(
        rows, PROJECTIONS, "There are no projections yet: decorate a function with @projection, and start a worker."
    )
    for state in states:
        for line in _troubles(state):
            call.output.note(line)


async def show_one(call: Call, name: str) -> None:
    """Show one."""
    async with call.database() as database:
        state = projections.find(await look(call, database), name, call.settings.app)
    call.output.result(projections.as_dict(state))
    call.output.fields(
        [
            ("projection", state.name),
            ("events", ", ".join(state.patterns)),
            ("tables", ", ".join(state.tables) or "none declared"),
            ("looked after by", state.worker or "nobody"),
            *_fields(state.live),
        ]
    )
    if state.rebuild is not None:
        call.output.line()
        call.output.fields([("rebuilt beside it", f"tables {state.rebuild.suffix}"), *_fields(state.rebuild)])
    for line in _troubles(state):
        call.output.line(line)


async def pause(call: Call, name: str, *, why: str, yes: bool) -> None:
    """Ask, and pause."""
    async with call.database() as database:
        state = projections.find(await look(call, database), name, call.settings.app)
        call.output.line(f"{state.name} will stand still until it is resumed, and its tables with it.")
        confirm(call.output, f"Pause {state.name}?", yes=yes)
        changed = await projections.pause(database, state.name, operator=call.operator, why=why)
    call.output.result({"paused": [state.name] if changed else []})
    call.output.line(f"Paused {state.name}." if changed else f"{state.name} was paused already.")


async def resume(call: Call, name: str, *, why: str, yes: bool) -> None:
    """Ask, and resume."""
    async with call.database() as database:
        state = projections.find(await look(call, database), name, call.settings.app)
        call.output.line(f"{state.name} is {state.live.state}, {behind(state.live)} behind.")
        confirm(call.output, f"Resume {state.name}?", yes=yes)
        changed = await projections.resume(database, state.name, operator=call.operator, why=why)
    call.output.result({"resumed": [state.name] if changed else []})
    call.output.line(f"Resumed {state.name}." if changed else f"{state.name} was neither paused nor failing.")


async def skip(call: Call, name: str, *, rebuilt: bool, why: str, yes: bool) -> None:
    """Ask, and leave the event out."""
    async with call.database() as database:
        state = projections.find(await look(call, database), name, call.settings.app)
        copy = state.rebuild if rebuilt else state.live
        if copy is None or copy.failed is None:
            raise UsageError(
                f"{state.name} stands at no event that fails",
                hint="`warren projections show` tells how it stands; --rebuild means the copy that is being rebuilt.",
            )
        call.output.line(_failed(state, copy))
        call.output.line("Its tables will be without what that event says; the log keeps it.")
        confirm(call.output, "Leave the event out?", yes=yes)
        skipped = await projections.skip(
            database,
            state.name,
            suffix=copy.suffix,
            event_id=copy.failed["event_id"],
            operator=call.operator,
            why=why,
        )
    call.output.result({"skipped": [copy.failed["event_id"]] if skipped else []})
    call.output.line("Left out." if skipped else "It does not stand there any more; nothing was changed.")


def behind(copy: CopyState) -> str:
    """How far it is behind the log, in events and time."""
    if not copy.behind:
        return "0"
    events = f"{copy.behind:,}{'+' if copy.behind >= COUNTED else ''}"
    return f"{events} ({format_duration(round(copy.behind_s))})" if copy.behind_s >= 1 else events


def _rows(state: ProjectionState) -> list[dict[str, Any]]:
    copies = [(state.name, state.live)]
    if state.rebuild is not None:
        copies.append((f"  rebuilt: {state.rebuild.suffix}", state.rebuild))
    return [
        {**copy._asdict(), "name": name, "worker": state.worker, "behind_shown": behind(copy)} for name, copy in copies
    ]


def _fields(copy: CopyState) -> list[tuple[str, object]]:
    return [
        ("version", copy.version),
        ("state", copy.state),
        ("position", f"{copy.position:,}"),
        ("behind", behind(copy)),
        ("applied", f"{copy.applied:,}"),
        ("stale", f"{copy.stale:,}"),
        ("skipped", f"{copy.skipped:,}"),
    ]


def _troubles(state: ProjectionState) -> list[str]:
    found = []
    if state.live.state == projections.OUTDATED:
        found.append(
            f"{state.name} has version {state.declared} here and {state.live.version} in the database, so this version"
            f" of it stands still: `warren projections rebuild {state.name}`."
        )
    if state.live.pause is not None:
        told = state.live.pause
        found.append(f"{state.name} was paused by {told.get('who')}{': ' if told.get('why') else ''}{told.get('why')}.")
    found += [_failed(state, copy) for copy in (state.live, state.rebuild) if copy is not None and copy.failed]
    return found


def _failed(state: ProjectionState, copy: CopyState) -> str:
    failed = copy.failed or {}
    which = "the rebuilt " if copy.suffix else ""
    return (
        f"{which}{state.name} stands at event {failed['position']}, {failed['event_type']} {failed['event_id']},"
        f" tried {failed['attempts']} times: {failed['error']}"
    )
