"""`warren operations`: redrives and replays that were ordered, how far they are, and steering them."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import Command, Group, examples

NAME = "operations"

Id = Annotated[
    str, typer.Argument(metavar="ID", show_default=False, help="The operation's id, or a beginning that only it has.")
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the audit.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def build() -> typer.Typer:
    """The verb with its verbs."""
    app = typer.Typer(
        cls=Group,
        help="Follow, pause, resume and cancel redrives and replays.\n\nWorkers perform them; none of them needs the terminal it was ordered from.",
        epilog=examples(
            "warren operations list", "warren operations show rd-4k7w2q9", "warren operations pause rd-4k7w"
        ),
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    app.command(
        "list", cls=Command, epilog=examples("warren operations list", "warren operations list --state running")
    )(_list)
    show = examples(
        "warren operations show rd-4k7w2q9 --follow", "warren operations show rd-4k7w --items 'failed again'"
    )
    app.command("show", cls=Command, epilog=show)(_show)
    app.command("pause", cls=Command, epilog=examples("warren operations pause rd-4k7w2q9 --yes"))(_pause)
    app.command("resume", cls=Command, epilog=examples("warren operations resume rd-4k7w2q9 --yes"))(_resume)
    app.command("cancel", cls=Command, epilog=examples("warren operations cancel rd-4k7w2q9 --why 'wrong handler'"))(
        _cancel
    )
    return app


def _list(
    context: typer.Context,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="STATE", help="running, paused, stopped, cancelled or done."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="redrive, replay or stream-replay.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many rows.")] = 50,
) -> None:
    """List operations, the newest first."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.operations import show_list

    asyncio.run(show_list(Call(context), state=state, kind=kind, limit=limit))


def _show(
    context: typer.Context,
    operation: Id,
    follow: Annotated[bool, typer.Option("--follow", help="Wait until it has ended, or does not run.")] = False,
    items: Annotated[
        str | None,
        typer.Option(
            "--items", metavar="STATE", help="Also its messages in this state: waiting, sent, 'failed again' …, or all."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many messages.")] = 50,
) -> None:
    """Show one operation: how far it is, at what pace, and what became of its messages."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.operations import show_one

    asyncio.run(show_one(Call(context), operation, follow=follow, state=items, limit=limit))


def _pause(context: typer.Context, operation: Id, why: Why = "", yes: Yes = False) -> None:
    """Send nothing more until it is resumed."""
    _steer(context, "pause", operation, why, yes)


def _resume(context: typer.Context, operation: Id, why: Why = "", yes: Yes = False) -> None:
    """Go on with an operation that was paused, or that stopped since failures recurred.

    If it stopped at its canaries, it sends others first. Where no worker lives, it is performed from here.
    """
    _steer(context, "resume", operation, why, yes)


def _cancel(context: typer.Context, operation: Id, why: Why = "", yes: Yes = False) -> None:
    """Send nothing more, ever. What was sent stays sent."""
    _steer(context, "cancel", operation, why, yes)


def _steer(context: typer.Context, wish: str, operation: str, why: str, yes: bool) -> None:
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.operations import steer

    raise typer.Exit(asyncio.run(steer(Call(context), wish, operation, why=why, yes=yes)))
