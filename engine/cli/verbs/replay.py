"""`warren replay`: send recorded events to one handler once more."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import examples
from engine.cli.verbs.courses import Canary, Detach, DryRun, Ramp, Rate, Reason, StopAfter, Wait, Yes
from engine.cli.verbs.event_options import (
    Aggregate,
    Correlation,
    FromStream,
    Offset,
    Origin,
    Since,
    Type,
    Until,
    check_offset,
)

NAME = "replay"
EXAMPLES = examples(
    "warren replay --to send_invoice --type order.confirmed --since 2d --dry-run",
    "warren replay --to shop.read_model.apply --type 'order.#' --rate 500 --reason 'a new read model'",
    "warren replay --to charge --correlation-id visit-7 --yes --wait 1m",
    "warren replay --to charge --from-stream --since 3d --dry-run",
)


def verb(
    context: typer.Context,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="HANDLER", show_default=False, help="The handler, or its queue: it alone gets them."
        ),
    ],
    type: Type = None,
    since: Since = None,
    until: Until = None,
    aggregate: Aggregate = None,
    correlation_id: Correlation = None,
    origin: Origin = None,
    events: Annotated[
        list[str] | None, typer.Option("--event", metavar="ID", show_default=False, help="Only the event with this id.")
    ] = None,
    from_stream: FromStream = False,
    offset: Offset = None,
    every: Annotated[bool, typer.Option("--all", help="Every event of the log that the handler asks for.")] = False,
    dry_run: DryRun = False,
    reason: Reason = "",
    canary: Canary = None,
    rate: Rate = None,
    ramp: Ramp = False,
    stop_after: StopAfter = None,
    detach: Detach = False,
    wait: Wait = None,
    yes: Yes = False,
) -> None:
    """Send recorded events to one handler once more, and to nobody else.

    It runs the handler also on what it handled before: that is what a replay is for, and the plan says how many those are. What the handler
    emits then goes to its subscribers as new events. Prints its plan and asks.

    With --from-stream the events are those of the journal's stream on the broker, from an offset or a time on.

    It is recorded as an operation, which workers perform: ctrl+c leaves it to them, and `warren operations` follows, pauses and cancels it.
    """
    import asyncio
    import time
    from dataclasses import replace

    from engine.cli.call import Call
    from engine.cli.views.ordering import Course
    from engine.cli.views.replay import Request, replay
    from engine.operations.durations import parse_duration
    from engine.operations.events import make_filter

    wanted = make_filter(
        now=time.time(),
        types=type or (),
        aggregate=aggregate,
        correlation_id=correlation_id,
        origin=origin,
        since=since,
        until=until,
    )
    check_offset(offset, from_stream)
    request = Request(
        to,
        replace(wanted, event_ids=events) if events else wanted,
        every,
        dry_run,
        reason,
        None if wait is None else parse_duration(wait),
        yes,
        Course(canary, rate, ramp, stop_after),
        detach,
        from_stream,
        offset,
    )
    raise typer.Exit(asyncio.run(replay(Call(context), request)))
