"""What `warren redrive` does and prints."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.cli.progress import progress
from engine.cli.views.ordering import Course, course_words, outcomes, say_how_it_went, verified
from engine.errors import UsageError
from engine.operations.failures import narrows
from engine.operations.performing import Carried, carry_out
from engine.operations.progress import ItemState, Operation, Options, items
from engine.operations.redrive import MEANING, Plan, Verdict, plan, start
from engine.operations.workers import living
from engine.storage.database import Database
from engine.storage.failure_search import Filter

#: Ids of failures that were sent, in the result for programs: at most so many.
MOST_IDS = 100_000


class Request(NamedTuple):
    """The arguments of the verb."""

    wanted: Filter
    every: bool
    again: bool
    dry_run: bool
    reason: str
    wait: float | None
    yes: bool
    course: Course
    detach: bool


async def redrive(call: Call, request: Request) -> int:
    """Plan, ask, order, wait until it is sent, and say what became of it; the exit code."""
    if not (request.every or narrows(request.wanted)):
        raise UsageError(
            "which failures?",
            hint="Name ids, or narrow it with --where, --handler, --exception, an age …; --all means every one.",
        )
    out, app = call.output, call.settings.app
    async with call.database() as database, call.broker() as broker:
        made = await plan(database, broker, request.wanted, again=request.again)
        options = request.course.options(len(made.ids))
        _print_plan(call, made, options)
        if request.dry_run or not made.ids:
            out.result({**_plan_dict(made), "options": options._asdict()})
            return 2 if made.verdicts()[Verdict.UNKNOWN] else 0
        confirm(out, f"Redrive {len(made.ids):,} messages?", yes=request.yes, count=len(made.ids))
        operator = call.operator
        stands = await start(database, made, app=app, operator=operator, why=request.reason, options=options)
        if request.detach:
            return await _detached(call, database, made, stands)
        try:
            with progress(out, "redriving", stands.total) as advance:
                carried = await carry_out(database, broker, app, stands.id, operator=call.operator, advance=advance)
            stands = await verified(call, database, carried.operation, request.wait)
        except asyncio.CancelledError:
            out.note(f"Operation {stands.id} goes on without this command: `warren operations show {stands.id}`.")
            raise
        sent = [] if stands.sent > MOST_IDS else await _sent_ids(database, stands)
    return _print_done(call, made, Carried(stands, carried.performed), sent, request)


async def _sent_ids(database: Database, stands: Operation) -> list[int]:
    found = await items(database, stands.id, limit=stands.total)
    return [item.subject for item in found if item.state not in (ItemState.WAITING, ItemState.SKIPPED)]


async def _detached(call: Call, database: Database, made: Plan, stands: Operation) -> int:
    alive = await living(database, call.settings.app)
    call.output.result({**_plan_dict(made), "state": str(stands.state), "workers": len(alive)})
    call.output.line(f"Operation {stands.id} is recorded. `warren operations show {stands.id}` says how far it is.")
    if not alive:
        call.output.note("No worker is alive: it begins when one starts.")
    return 0


def _print_plan(call: Call, made: Plan, options: Options) -> None:
    out, counts = call.output, made.verdicts()
    if not made.items:
        out.line("There are no such failures.")
    for verdict, meaning in MEANING.items():
        if counts[verdict]:
            out.line(f"{counts[verdict]:>7,}  {meaning}")
        if verdict is Verdict.FORGOTTEN:
            for queue, count in sorted(made.queues().items()):
                out.line(f"         {count:>7,}  {queue}")
    if made.ids:
        for words in course_words(options):
            out.line(f"         {words}")


def _print_done(call: Call, made: Plan, carried: Carried, sent: list[int], request: Request) -> int:
    out, (stands, performed) = call.output, carried
    waited = request.wait is not None
    out.result(
        {
            **_plan_dict(made),
            "redriven": stands.sent,
            "redriven_ids": sent,
            "skipped": stands.skipped,
            "waiting": stands.waiting,
            "state": str(stands.state),
            "note": stands.note,
            "relayed_here": None if performed is None else performed.sent,
            "not_relayed": 0 if performed is None else performed.left,
            "outcomes": outcomes(stands) if waited else None,
        }
    )
    out.line(f"Redriven: {stands.sent:,}, as operation {stands.id}.")
    return say_how_it_went(call, stands, performed, waited=waited)


def _plan_dict(made: Plan) -> dict[str, Any]:
    return {
        "operation": made.operation,
        "matched": len(made.items),
        "to_redrive": len(made.ids),
        "verdicts": {verdict.value: count for verdict, count in made.verdicts().items()},
        "queues": dict(made.queues()),
    }
