"""`warren redrive`: send failed messages back to their queues."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import examples
from engine.cli.verbs.courses import Canary, Detach, DryRun, Ramp, Rate, Reason, StopAfter, Wait, Yes
from engine.cli.verbs.failures import Cause, Correlation, Exception_, Handler, Newer, Older, Queue, Text, Where

NAME = "redrive"
EXAMPLES = examples(
    "warren redrive 17 18",
    "warren redrive --handler charge --exception TimeoutError --dry-run",
    "warren redrive --where 'type:order.placed data.order_id=o-17'",
    "warren redrive --newer-than 2h --reason 'payment provider is back' --wait 1m",
    "warren redrive --all --canary 20 --rate 200 --ramp",
)


def verb(
    context: typer.Context,
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID", show_default=False, help="Failures by id.")] = None,
    where: Where = None,
    handler: Handler = None,
    exception: Exception_ = None,
    queue: Queue = None,
    older_than: Older = None,
    newer_than: Newer = None,
    correlation_id: Correlation = None,
    cause: Cause = None,
    text: Text = None,
    every: Annotated[bool, typer.Option("--all", help="Every open failure.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also run once more what succeeded meanwhile.")] = False,
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
    """Send failed messages back to their own queues.

    Each is sent once, and its attempts count anew. Prints its plan and asks. What succeeded meanwhile or was sent before is left alone.

    It is recorded as an operation, which workers perform: ctrl+c leaves it to them, and `warren operations` follows, pauses and cancels it. It stops
    by itself when failures recur. Exits with 1 if it stopped, and with --wait if a message failed again.
    """
    import asyncio
    import time

    from engine.cli.call import Call
    from engine.cli.views.ordering import Course
    from engine.cli.views.redrive import Request, redrive
    from engine.operations.durations import parse_duration
    from engine.operations.failures import make_filter

    wanted = make_filter(
        now=time.time(),
        ids=ids or (),
        where=where,
        handler=handler,
        exception=exception,
        queue=queue,
        older_than=older_than,
        newer_than=newer_than,
        correlation_id=correlation_id,
        fingerprint=cause,
        text=text,
        status="all" if ids else "open",
    )
    request = Request(
        wanted,
        every,
        again,
        dry_run,
        reason,
        None if wait is None else parse_duration(wait),
        yes,
        Course(canary, rate, ramp, stop_after),
        detach,
    )
    raise typer.Exit(asyncio.run(redrive(Call(context), request)))
