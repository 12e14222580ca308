"""What `warren replay` does and prints."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.cli.progress import progress
from engine.cli.views.ordering import Course, course_words, outcomes, say_how_it_went, verified
from engine.errors import UsageError
from engine.operations.events import EventFilter, narrows
from engine.operations.performing import carry_out
from engine.operations.progress import Options
from engine.operations.replay import MEANING, SENT, Plan, find_target, plan, start
from engine.operations.workers import living


class Request(NamedTuple):
    """The arguments of the verb."""

    to: str
    wanted: EventFilter
    every: bool
    dry_run: bool
    reason: str
    wait: float | None
    yes: bool
    course: Course
    detach: bool


async def replay(call: Call, request: Request) -> int:
    """Plan, ask, order, wait until it is sent, and say what became of it; the exit code."""
    if not (request.every or narrows(request.wanted)):
        raise UsageError(
            "which events?",
            hint="Narrow it with --type, --since, --aggregate, --correlation-id …; --all means all that the handler asks for.",
        )
    out, app = call.output, call.settings.app
    async with call.database() as database, call.broker() as broker:
        target = await find_target(database, app, request.to, call.specs_if_any())
        made = await plan(database, broker, request.wanted, target)
        options = request.course.options(len(made.positions))
        _print_plan(call, made, options)
        if request.dry_run or not made.positions:
            out.result({**_plan_dict(made), "options": options._asdict()})
            return 0
        count = len(made.positions)
        confirm(out, f"Replay {count:,} events to {target.handler}?", yes=request.yes, count=count)
        stands = await start(
            database, made, app=app, operator=call.operator, why=request.reason, options=options
        )  # fmt: skip
        if request.detach:
            alive = await living(database, app)
            out.result({**_plan_dict(made), "state": str(stands.state), "workers": len(alive)})
            out.line(f"Operation {stands.id} is recorded. `warren operations show {stands.id}` says how far it is.")
            if not alive:
                out.note("No worker is alive: it begins when one starts.")
            return 0
        try:
            with progress(out, "replaying", stands.total) as advance:
                carried = await carry_out(database, broker, app, stands.id, operator=call.operator, advance=advance)
            stands = await verified(call, database, carried.operation, request.wait)
        except asyncio.CancelledError:
            out.note(f"Operation {stands.id} goes on without this command: `warren operations show {stands.id}`.")
            raise
    waited, performed = request.wait is not None, carried.performed
    out.result(
        {
            **_plan_dict(made),
            "replayed": stands.sent,
            "skipped": stands.skipped,
            "waiting": stands.waiting,
            "state": str(stands.state),
            "note": stands.note,
            "relayed_here": None if performed is None else performed.sent,
            "not_relayed": 0 if performed is None else performed.left,
            "outcomes": outcomes(stands) if waited else None,
        }
    )
    out.line(f"Replayed: {stands.sent:,}, as operation {stands.id}.")
    return say_how_it_went(call, stands, performed, waited=waited)


def _print_plan(call: Call, made: Plan, options: Options) -> None:
    out, counts = call.output, made.verdicts()
    if not made.items:
        out.line("There are no such events in the log.")
        return
    out.line(f"To {made.target.handler} ({made.target.queue}), and to nobody else:")
    for verdict, meaning in MEANING.items():
        if counts[verdict]:
            out.line(f"{counts[verdict]:>7,}  {meaning}")
    if made.positions:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in made.types().most_common(8))
        out.line(f"         {kinds}")
        for words in course_words(options):
            out.line(f"         {words}")
        out.line("What it emits then goes to its subscribers as new events.")


def _plan_dict(made: Plan) -> dict[str, Any]:
    counts = made.verdicts()
    return {
        "operation": made.operation,
        "handler": made.target.handler,
        "queue": made.target.queue,
        "matched": len(made.items),
        "to_replay": sum(counts[verdict] for verdict in SENT),
        "verdicts": {str(verdict): count for verdict, count in counts.items()},
        "types": dict(made.types()),
    }
