"""`warren queues`: what waits where; and pausing it."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import Command, Group, examples

NAME = "queues"

Queues = Annotated[list[str], typer.Argument(metavar="QUEUE", show_default=False, help="Queues by name.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the audit and for whoever looks.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def build() -> typer.Typer:
    """The verb with its verbs."""
    app = typer.Typer(
        cls=Group,
        invoke_without_command=True,
        help="List the queues, pause and resume them.\n\nWhat waits, who consumes, what is in hand, delayed and dead.",
        epilog=examples(
            "warren queues",
            "warren queues --rates 5s",
            "warren queues --json",
            "warren queues pause shop.orders.charge",
        ),
        subcommand_metavar="[COMMAND]",
        rich_markup_mode=None,
    )
    app.callback()(_list)
    pause = examples(
        "warren queues pause shop.orders.charge --why 'the provider is away'",
        "warren queues pause shop.orders.charge shop.orders.refund --yes",
    )
    app.command("pause", cls=Command, epilog=pause)(_pause)
    app.command("resume", cls=Command, epilog=examples("warren queues resume shop.orders.charge"))(_resume)
    return app


def _list(
    context: typer.Context,
    rates: Annotated[
        str | None,
        typer.Option(
            "--rates",
            metavar="TIME",
            show_default=False,
            help="Watch so long, two seconds at least: what comes in and goes out, the lag, the oldest.",
        ),
    ] = None,
) -> None:
    if context.invoked_subcommand is not None:
        return
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.queues import show_queues
    from engine.operations.durations import parse_duration

    asyncio.run(show_queues(Call(context), None if rates is None else parse_duration(rates)))


def _pause(context: typer.Context, queues: Queues, why: Why = "", yes: Yes = False) -> None:
    """Stop consuming queues until they are resumed, in all workers and across restarts.

    What runs is finished; what waits stays in the queue, and loses no attempt.
    """
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.pausing import pause

    asyncio.run(pause(Call(context), queues, why=why, yes=yes))


def _resume(context: typer.Context, queues: Queues, why: Why = "", yes: Yes = False) -> None:
    """Consume queues again: those that were paused, and those whose circuit is open."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.pausing import resume

    asyncio.run(resume(Call(context), queues, why=why, yes=yes))
