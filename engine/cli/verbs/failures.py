"""`warren failures`: what failed, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import Command, Group, examples

NAME = "failures"


def build() -> typer.Typer:
    """The verb with its verbs."""
    from engine.cli.verbs import failure_acts, failure_edit

    app = typer.Typer(
        cls=Group,
        help="Search and read the dead letters, edit them, put them away.",
        epilog=examples("warren failures list", "warren failures show 17", "warren failures edit 17"),
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    listing = examples(
        "warren failures list",
        "warren failures list --handler charge --newer-than 2h",
        "warren failures list --exception TimeoutError --groups",
        "warren failures list --where 'type:order.placed data.order_id=17 \"card declined\"'",
    )
    app.command("list", cls=Command, epilog=listing)(_list)
    app.command("show", cls=Command, epilog=examples("warren failures show 17", "warren failures show 17 --json"))(
        _show
    )
    app.command("edit", cls=Command, epilog=failure_edit.EXAMPLES)(failure_edit.verb)
    failure_acts.add_to(app)
    return app


Handler = Annotated[str | None, typer.Option("--handler", metavar="NAME", help="Only of this handler.")]
Exception_ = Annotated[
    str | None, typer.Option("--exception", metavar="NAME", help="Only with this exception: TimeoutError, or Timeout*.")
]
Queue = Annotated[str | None, typer.Option("--queue", metavar="QUEUE", help="Only of this queue.")]
Older = Annotated[str | None, typer.Option("--older-than", metavar="AGE", help="Only what failed longer ago: 2h, 1d.")]
Newer = Annotated[str | None, typer.Option("--newer-than", metavar="AGE", help="Only what failed since: 30m.")]
Correlation = Annotated[
    str | None, typer.Option("--correlation-id", metavar="ID", help="Only with this correlation id.")
]
Cause = Annotated[
    str | None, typer.Option("--cause", metavar="ID", help="Only with this cause id (see failures list --groups).")
]
Text = Annotated[
    str | None,
    typer.Option(
        "--text", metavar="TEXT", help="Only where message, exception, reason, event id, handler or type contain this."
    ),
]


Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="FILTER",
        show_default=False,
        help="Terms that must all hold, as in the monitor: 'handler:charge exception:Timeout* data.order_id=17 newer:2h \"a text\"'.",
    ),
]


def _list(
    context: typer.Context,
    where: Where = None,
    handler: Handler = None,
    exception: Exception_ = None,
    queue: Queue = None,
    older_than: Older = None,
    newer_than: Newer = None,
    correlation_id: Correlation = None,
    cause: Cause = None,
    text: Text = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status", metavar="STATUS", show_default=False, help="open (unless said), redriven, archived or all."
        ),
    ] = None,
    groups: Annotated[
        bool, typer.Option("--groups", help="Group by cause: exception, handler, and where it was raised.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many rows.")] = 50,
) -> None:
    """List failures, the newest first."""
    import asyncio
    import time

    from engine.cli.call import Call
    from engine.cli.views.failures import show_list
    from engine.operations.failures import make_filter

    wanted = make_filter(
        now=time.time(),
        where=where,
        handler=handler,
        exception=exception,
        queue=queue,
        older_than=older_than,
        newer_than=newer_than,
        correlation_id=correlation_id,
        fingerprint=cause,
        text=text,
        status=status,
    )
    asyncio.run(show_list(Call(context), wanted, by_cause=groups, limit=limit))


def _show(
    context: typer.Context,
    id: Annotated[int, typer.Argument(metavar="ID", help="The id that `warren failures list` shows.")],
    unmasked: Annotated[bool, typer.Option("--unmasked", help="Show secrets, too.")] = False,
) -> None:
    """Show one failure whole: reason, traceback, headers, body and edits."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.failures import show_one

    asyncio.run(show_one(Call(context), id, unmasked=unmasked))
