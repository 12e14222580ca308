"""What `warren failures archive`, `restore` and `delete` do and print."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.cli.progress import progress
from engine.operations import archiving
from engine.operations.archiving import Act, Selection
from engine.operations.failures import Filter
from engine.operations.operator import Operator
from engine.storage.database import Database

#: Ids that the result for programs names.
MOST_IDS = 100_000


class Request(NamedTuple):
    """The arguments of the verbs."""

    wanted: Filter
    why: str
    dry_run: bool
    yes: bool


class Perform(Protocol):
    """An act of `engine.operations.archiving`."""

    async def __call__(
        self,
        database: Database,
        selection: Selection,
        *,
        operator: Operator,
        why: str = "",
        advance: Callable[[int], None] = ...,
    ) -> Act: ...


class Words(NamedTuple):
    """What is asked, and what is said when it is done; `{}` is the number."""

    asks: str
    done: str
    doing: str


_ARCHIVE = Words("Archive {} failures?", "Archived {}.", "archiving")
_RESTORE = Words("Take {} failures out of the archive?", "Restored {}.", "restoring")
_DELETE = Words("Delete {} failures for good, with their messages?", "Deleted {}.", "deleting")


async def archive(call: Call, request: Request) -> None:
    """Plan, ask, and put away."""
    act = await _perform(call, request, archiving.plan_archive, archiving.archive, _ARCHIVE)
    if act is not None and act.ids:
        call.output.line(f"`warren failures restore --act {act.token}` takes exactly this back.")


async def restore(call: Call, request: Request) -> None:
    """Plan, ask, and take out."""
    await _perform(call, request, archiving.plan_restore, archiving.restore, _RESTORE)


async def delete(call: Call, request: Request) -> None:
    """Plan, ask, and delete."""
    await _perform(call, request, archiving.plan_delete, archiving.delete, _DELETE)


async def _perform(
    call: Call,
    request: Request,
    plan: Callable[[Database, Filter], Awaitable[Selection]],
    perform: Perform,
    words: Words,
) -> Act | None:
    out = call.output
    async with call.database() as database:
        selection = await plan(database, request.wanted)
        print_plan(call, selection)
        count = len(selection.ids)
        if request.dry_run or not count:
            out.result(as_dict(selection, None))
            return None
        confirm(out, words.asks.format(f"{count:,}"), yes=request.yes, count=count)
        with progress(out, words.doing, count) as advance:
            act = await perform(database, selection, operator=call.operator, why=request.why, advance=advance)
    out.result(as_dict(selection, act))
    out.line(words.done.format(f"{len(act.ids):,}"))
    if len(act.ids) < count:
        out.line(f"Left alone, since they changed after the plan was made: {count - len(act.ids):,}.")
    return act


def print_plan(call: Call, selection: Selection) -> None:
    """What would be done."""
    out = call.output
    if not selection.ids and not selection.left:
        out.line("There are no such failures.")
        return
    out.line(f"{len(selection.ids):>7,}  to {selection.action}")
    for why, number in selection.left.items():
        out.line(f"{number:>7,}  left alone: {why}")


def as_dict(selection: Selection, act: Act | None) -> dict[str, Any]:
    """A plan, and what came of it, for programs."""
    found: dict[str, Any] = {
        "action": selection.action,
        "matched": len(selection.ids),
        "left": dict(selection.left),
        "changed": 0 if act is None else len(act.ids),
        "act": None if act is None else act.token,
    }
    ids = selection.ids if act is None else act.ids
    return {**found, "ids": list(ids)} if len(ids) <= MOST_IDS else found
