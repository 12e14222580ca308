"""What `warren redrive` does and prints."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.cli.progress import progress
from engine.errors import UsageError
from engine.operations.failures import narrows
from engine.operations.operator import who
from engine.operations.redrive import Done, Plan, execute, plan, verify
from engine.operations.relaying import Relayed, relay_alone
from engine.operations.verdict import MEANING, SENT, Verdict
from engine.storage.database import Database
from engine.storage.failure_search import Filter
from engine.storage.failures import Outcome


class Request(NamedTuple):
    """The arguments of the verb."""

    wanted: Filter
    every: bool
    again: bool
    dry_run: bool
    reason: str
    wait: float | None
    yes: bool


async def redrive(call: Call, request: Request) -> int:
    """Plan, ask, send, and say what became of it; the exit code."""
    if not (request.every or narrows(request.wanted)):
        raise UsageError(
            "which failures?",
            hint="Name ids, or narrow it with --handler, --exception, --queue, an age …; --all means every one.",
        )
    out = call.output
    async with call.database() as database, call.broker() as broker:
        made = await plan(database, broker, request.wanted, again=request.again)
        _print_plan(call, made)
        if request.dry_run or not made.ids:
            out.result(_plan_dict(made))
            return 2 if made.verdicts()[Verdict.UNKNOWN] else 0
        confirm(out, f"Redrive {len(made.ids):,} messages?", yes=request.yes, count=len(made.ids))
        with progress(out, "redriving", len(made.ids)) as advance:
            done = await execute(database, made, who=who(), why=request.reason, advance=advance)
        relayed = await relay_alone(database, broker, call.settings.app)
        outcomes = await _outcomes(call, database, done, request.wait)
    _print_done(call, made, done, relayed, outcomes, request)
    failed = outcomes[Outcome.FAILED_AGAIN] + outcomes[Outcome.FAILED_OTHERWISE]
    return 1 if failed or (relayed is not None and relayed.left) else 0


async def _outcomes(call: Call, database: Database, done: Done, wait: float | None) -> Counter[Outcome]:
    if wait is None:
        return Counter()
    with progress(call.output, "waiting for the outcomes", len(done.sent)) as advance:
        return await verify(database, done.sent, seconds=wait, advance=advance)


def _print_plan(call: Call, made: Plan) -> None:
    out, counts = call.output, made.verdicts()
    if not made.items:
        out.line("There are no such failures.")
    for verdict, meaning in MEANING.items():
        if counts[verdict]:
            out.line(f"{counts[verdict]:>7,}  {meaning}")
        if verdict is Verdict.FORGOTTEN:
            for queue, count in sorted(made.queues().items()):
                out.line(f"         {count:>7,}  {queue}")


def _print_done(
    call: Call, made: Plan, done: Done, relayed: Relayed | None, outcomes: Counter[Outcome], request: Request
) -> None:
    out = call.output
    out.result(
        {
            **_plan_dict(made),
            "redriven": len(done.sent),
            "redriven_ids": done.sent,
            "relayed_here": None if relayed is None else relayed.sent,
            "not_relayed": 0 if relayed is None else relayed.left,
            "outcomes": {outcome.name.lower(): outcomes[outcome] for outcome in Outcome}
            if request.wait is not None
            else None,
        }
    )
    out.line(f"Redriven: {len(done.sent):,}.")
    changed = sum(count for verdict, count in done.verdicts.items() if verdict not in SENT)
    if changed:
        out.line(f"Left alone, since they changed after the plan was made: {changed:,}.")
    if relayed is not None:
        out.line(
            f"No worker is alive, so {relayed.sent:,} messages were published from here; they wait in their queues for one."
        )
        if relayed.left:
            out.note(
                f"{relayed.left:,} messages could not be published; a worker will do it when it starts. {relayed.why}"
            )
    if request.wait is not None:
        out.line("  ".join(f"{outcome.value}: {outcomes[outcome]:,}" for outcome in Outcome if outcomes[outcome]))
    elif relayed is None:
        out.note("`warren failures list --status redriven` shows what becomes of them; --wait waits for it.")


def _plan_dict(made: Plan) -> dict[str, Any]:
    return {
        "operation": made.operation,
        "matched": len(made.items),
        "to_redrive": len(made.ids),
        "verdicts": {verdict.value: count for verdict, count in made.verdicts().items()},
        "queues": dict(made.queues()),
    }
