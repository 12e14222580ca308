"""What `warren replay` does and prints."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from engine.brokers.base import Broker
from engine.cli.call import Call
from engine.cli.confirm import confirm
from engine.cli.progress import progress
from engine.cli.views.ordering import Course, course_words, outcomes, say_how_it_went, verified
from engine.errors import UsageError
from engine.model.codec import Limits
from engine.model.topology import stream_name
from engine.operations import stream_replay
from engine.operations.events import EventFilter, narrows
from engine.operations.performing import carry_out
from engine.operations.progress import Operation, Options
from engine.operations.replay import MEANING, SENT, Plan, Target, find_target, plan, start
from engine.operations.stream_events import Source, bounds
from engine.operations.stream_replay import StreamPlan
from engine.operations.workers import living
from engine.storage.database import Database


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
    from_stream: bool = False
    offset: int | None = None


async def replay(call: Call, request: Request) -> int:
    """Plan, ask, order, wait until it is sent, and say what became of it; the exit code."""
    if not (request.every or narrows(request.wanted) or request.offset is not None):
        raise UsageError(
            "which events?",
            hint="Narrow it with --type, --since, --aggregate, --correlation-id …; --all means all that the handler asks for.",
        )
    out, app = call.output, call.settings.app
    async with call.database() as database, call.broker() as broker:
        target = await find_target(database, app, request.to, call.specs_if_any())
        made = await _planned(call, database, broker, request, target)
        options = request.course.options(made.to_send)
        _print_plan(call, made, options)
        if request.dry_run or not made.to_send:
            out.result({**_plan_dict(made), "options": options._asdict()})
            return 0
        confirm(out, f"Replay {made.to_send:,} events to {target.handler}?", yes=request.yes, count=made.to_send)
        stands = await _started(call, database, made, request.reason, options)
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


async def _started(call: Call, database: Database, made: Plan | StreamPlan, why: str, options: Options) -> Operation:
    app, operator = call.settings.app, call.operator
    if isinstance(made, StreamPlan):
        return await stream_replay.start(database, made, app=app, operator=operator, why=why, options=options)
    return await start(database, made, app=app, operator=operator, why=why, options=options)


async def _planned(
    call: Call, database: Database, broker: Broker, request: Request, target: Target
) -> Plan | StreamPlan:
    """The plan, from the log or from the stream, which is read for it."""
    if not request.from_stream:
        return await plan(database, broker, request.wanted, target)
    settings = call.settings
    source = Source(broker, stream_name(settings.app), Limits(size=settings.max_body), call.masking)
    span = await bounds(source, request.wanted, offset=request.offset)
    with progress(call.output, "reading the stream", span.next - span.first) as advance:
        return await stream_replay.plan(database, source, request.wanted, target, span=span, advance=advance)


def _print_plan(call: Call, made: Plan | StreamPlan, options: Options) -> None:
    out, counts = call.output, made.verdicts()
    if isinstance(made, StreamPlan):
        if made.span.next > made.span.first:
            out.line(f"From the offsets {made.span.first:,} to {made.span.next - 1:,} of {made.stream}.")
        if made.unreadable:
            out.line(f"{made.unreadable:>7,}  entries are no events and are passed over; {made.reason}")
    if not made.matched:
        out.line(f"There are no such events in the {'stream' if isinstance(made, StreamPlan) else 'log'}.")
        return
    out.line(f"To {made.target.handler} ({made.target.queue}), and to nobody else:")
    for verdict, meaning in MEANING.items():
        if counts[verdict]:
            out.line(f"{counts[verdict]:>7,}  {meaning}")
    if made.to_send:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in made.types().most_common(8))
        out.line(f"         {kinds}")
        for words in course_words(options):
            out.line(f"         {words}")
        out.line("What it emits then goes to its subscribers as new events.")


def _plan_dict(made: Plan | StreamPlan) -> dict[str, Any]:
    counts = made.verdicts()
    streamed: dict[str, Any] = {}
    if isinstance(made, StreamPlan):
        streamed = {"stream": made.stream, "span": made.span._asdict(), "unreadable": made.unreadable}
    return {
        "operation": made.operation,
        "handler": made.target.handler,
        "queue": made.target.queue,
        "matched": made.matched,
        "to_replay": sum(counts[verdict] for verdict in SENT),
        "verdicts": {str(verdict): count for verdict, count in counts.items()},
        "types": dict(made.types()),
        **streamed,
    }
