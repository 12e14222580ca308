"""What `warren projections rebuild` and `compare` do and print."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.cli.output import Column, number
from engine.cli.views.projections import behind, look
from engine.errors import UsageError
from engine.model.names import nearest
from engine.model.projection import ProjectionSpec, assign_projections
from engine.operations import projections, rebuilding
from engine.operations.projections import CopyState, ProjectionState
from engine.operations.rebuilding import Comparison
from engine.storage.database import Database

#: Seconds between two looks at a rebuild, and tries to find both copies equally far.
LOOK = 0.2
LEVEL_TRIES = 25

TABLES = (
    Column("table", "TABLE"),
    number("live", "LIVE ROWS"),
    number("rebuilt", "REBUILT ROWS"),
    number("only_live", "ONLY LIVE"),
    number("only_rebuilt", "ONLY REBUILT"),
    number("changed", "CHANGED"),
)


class Request(NamedTuple):
    """What was asked for."""

    swap: bool
    detach: bool
    why: str
    yes: bool


async def rebuild(call: Call, name: str, request: Request) -> int:
    """Ask, begin, follow, compare, ask, swap; the exit code."""
    spec = _spec(call, name)
    full = spec.name_for(call.settings.app)
    async with call.database() as database:
        await _plan(call, database, spec)
        confirm(call.output, f"Rebuild {full}?", yes=request.yes)
        suffix = await rebuilding.begin(database, call.settings.app, spec, operator=call.operator, why=request.why)
        if request.detach:
            call.output.result({"projection": full, "copy": suffix, "swapped": False})
            call.output.line(f"{full} is rebuilt beside the live one; `warren projections show {full}` follows it.")
            return 0
        async with rebuilding.stand_in(database, call.settings.app, spec, operator=call.operator) as project:
            return await _go_on(call, database, spec, request, project)


async def _go_on(
    call: Call, database: Database, spec: ProjectionSpec, request: Request, project: Callable[[], Awaitable[bool]]
) -> int:
    full = spec.name_for(call.settings.app)
    copy = await _follow(call, database, spec, project)
    suffix = copy.suffix
    if copy.failed is not None or copy.pause is not None:
        call.output.result({"projection": full, "copy": suffix, "swapped": False, "failed": copy.failed})
        failed = copy.failed or {"position": copy.position, "error": "it is paused"}
        call.output.line(f"The rebuilt {full} stands at event {failed['position']}: {failed['error']}")
        call.output.line(f"Mend it and call this again, or `warren projections skip {full} --rebuild`.")
        return 1
    found = await _compared(call, database, spec)
    _say(call, found)
    swapped = False
    if request.swap:
        confirm(call.output, "Put the rebuilt tables in the place of the live ones?", yes=request.yes)
        swapped = await _swap(call, database, spec, request.why, project)
    call.output.result({"projection": full, "copy": suffix, "swapped": swapped, "comparison": as_dict(found)})
    if swapped:
        call.output.line(f"{full} is rebuilt: version {spec.version} is live.")
    else:
        call.output.line("The copy stays beside the live one. Call this again to swap, or with --cancel to drop it.")
    return 0


async def cancel_rebuild(call: Call, name: str, *, why: str, yes: bool) -> None:
    """Ask, and drop the copy."""
    async with call.database() as database:
        state = projections.find(await look(call, database), name, call.settings.app)
        if state.rebuild is None:
            raise UsageError(f"{state.name} is not being rebuilt", hint="`warren projections list` shows what is.")
        call.output.line(f"The tables {state.rebuild.suffix} of {state.name} will be dropped; the live ones stay.")
        confirm(call.output, "Give the rebuild up?", yes=yes)
        changed = await rebuilding.cancel(database, state.name, operator=call.operator, why=why)
    call.output.result({"cancelled": [state.name] if changed else []})
    call.output.line(f"Dropped what was rebuilt of {state.name}." if changed else "It is gone already.")


async def compare(call: Call, name: str) -> int:
    """Compare, and exit 1 where they differ."""
    spec = _spec(call, name)
    async with call.database() as database:
        found = await _compared(call, database, spec)
    call.output.result(as_dict(found))
    _say(call, found)
    return 0 if found.same else 1


def as_dict(found: Comparison) -> dict[str, Any]:
    """A comparison for programs."""
    tables = [
        {**each._asdict(), "same": each.same, "examples": [one._asdict() for one in each.examples]}
        for each in found.tables
    ]
    return {**found._asdict(), "same": found.same, "tables": tables}


def _spec(call: Call, name: str) -> ProjectionSpec:
    app = call.settings.app
    specs = assign_projections(app, call.plugins().projections)
    matches = [spec for full, spec in specs.items() if name in (full, full.removeprefix(f"{app}."))]
    matches = matches or [spec for full, spec in specs.items() if full.rpartition(".")[2] == name]
    if len(matches) == 1:
        return matches[0]
    raise UsageError(
        f"{'several projections are' if matches else 'no projection of the plugins here is'} called {name}",
        hint=nearest(name, list(specs)) or f"There are: {', '.join(specs) or 'none'}.",
    )


async def _plan(call: Call, database: Database, spec: ProjectionSpec) -> None:
    full = spec.name_for(call.settings.app)
    states = {state.name: state for state in await look(call, database)}
    known = states.get(full)
    if known is not None and known.rebuild is not None:
        call.output.line(
            f"{full} is being rebuilt already, {behind(known.rebuild)} events behind: this goes on with it."
        )
        return
    tables = ", ".join(str(table.__table__.name) for table in spec.tables)
    call.output.line(f"{full}: version {spec.version} of {tables or 'no tables'} is made from the whole log,")
    call.output.line("beside the live tables, which stay as they are until the two are swapped.")


async def _follow(
    call: Call, database: Database, spec: ProjectionSpec, project: Callable[[], Awaitable[bool]]
) -> CopyState:
    """Wait until the copy has come to the end of the log, or does not go on; where no worker lives, do it here."""
    while True:
        here = await project()
        state = _of(await look(call, database), spec.name_for(call.settings.app))
        copy = state.rebuild
        if copy is None:
            raise UsageError(
                f"somebody has ended the rebuild of {state.name}", hint="The audit tells who: `warren audit`."
            )
        if copy.failed is not None or copy.pause is not None or not copy.behind:
            return copy
        if not here:
            await asyncio.sleep(LOOK)


async def _compared(call: Call, database: Database, spec: ProjectionSpec) -> Comparison:
    """Compare when both are equally far, as they are now and then unless the live one stands still."""
    for _ in range(LEVEL_TRIES):
        found = await rebuilding.compare(database, call.settings.app, spec)
        state = _of(await look(call, database), spec.name_for(call.settings.app))
        if found.level or state.live.state != projections.RUNNING:
            break
        await asyncio.sleep(LOOK)
    return found


async def _swap(
    call: Call, database: Database, spec: ProjectionSpec, why: str, project: Callable[[], Awaitable[bool]]
) -> bool:
    app = call.settings.app
    for _ in range(LEVEL_TRIES):
        if await rebuilding.swap(database, app, spec, operator=call.operator, why=why):
            return True
        if not await project():
            await asyncio.sleep(LOOK)
    call.output.note(
        "The live tables are always a little ahead: pause the projection for a moment, and call this again."
    )
    return False


def _of(states: list[ProjectionState], name: str) -> ProjectionState:
    return next(state for state in states if state.name == name)


def _say(call: Call, found: Comparison) -> None:
    if call.output.as_json:
        return
    call.output.table([each._asdict() for each in found.tables], TABLES)
    if not found.level:
        call.output.line(
            f"The live tables have come to event {found.live_position}, the rebuilt ones to {found.rebuilt_position}."
        )
    for each in found.tables:
        if each.columns:
            call.output.line(f"{each.table}: only one of them has the columns {', '.join(each.columns)}.")
        for one in each.examples:
            call.output.line(f"{each.table} {one.key}: live {one.live}, rebuilt {one.rebuilt}")
    if found.same:
        call.output.line("Both are the same.")
