"""`warren topology`: what the handlers ask of the broker."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import Command, Group, examples

NAME = "topology"

Plugins = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PLUGIN",
        show_default=False,
        help="Modules, files or folders with handlers; without any, those of the project.",
    ),
]


def build() -> typer.Typer:
    """The verb with its verbs."""
    app = typer.Typer(
        cls=Group,
        help="Show, compare and declare exchanges, queues and bindings; move, migrate and delete queues.",
        epilog=examples("warren topology show", "warren topology diff", "warren topology apply"),
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    app.command("show", cls=Command, epilog=examples("warren topology show", "warren topology show --json"))(_show)
    app.command("diff", cls=Command, epilog=examples("warren topology diff", "warren topology diff --json"))(_diff)
    app.command("apply", cls=Command, epilog=examples("warren topology apply", "warren topology apply --yes"))(_apply)
    move = examples("warren topology move shop.orders.charge shop.billing.charge --why 'the file was renamed'")
    app.command("move", cls=Command, epilog=move)(_move)
    migrate = examples("warren topology migrate shop.orders.charge", "warren topology migrate shop.due --yes")
    app.command("migrate", cls=Command, epilog=migrate)(_migrate)
    delete = examples(
        "warren topology delete shop.orders.old", "warren topology delete shop.orders.old --drop 17 --yes"
    )
    app.command("delete", cls=Command, epilog=delete)(_delete)
    return app


Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the audit.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def _show(
    context: typer.Context,
    plugins: Plugins = None,
    every: Annotated[bool, typer.Option("--all", help="Also the delay rungs and dead-letter queues.")] = False,
) -> None:
    """Print what the handlers ask for. Touches no broker."""
    from engine.cli.call import Call
    from engine.cli.views.topology import show

    show(Call(context), plugins or (), every=every)


def _diff(context: typer.Context, plugins: Plugins = None) -> None:
    """Compare with the live broker and say how to migrate; name the queues that no handler owns.

    Exits with 1 if they differ; changes nothing.
    """
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.topology import diff

    raise typer.Exit(asyncio.run(diff(Call(context), plugins or ())))


def _apply(
    context: typer.Context,
    plugins: Plugins = None,
    yes: Yes = False,
) -> None:
    """Declare what is missing on the broker. What differs is left alone and makes it fail."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.topology import apply

    asyncio.run(apply(Call(context), plugins or (), yes=yes))


def _move(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="OLD", show_default=False, help="The queue to empty.")],
    target: Annotated[str, typer.Argument(metavar="NEW", show_default=False, help="The queue to fill.")],
    why: Why = "",
    yes: Yes = False,
) -> None:
    """Move all messages of a queue that nobody consumes into another one.

    None is lost; call it again when it was interrupted. What was handled already is not moved.
    """
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.moving import move

    asyncio.run(move(Call(context), source, target, why=why, yes=yes))


def _migrate(
    context: typer.Context,
    queue: Annotated[str, typer.Argument(metavar="QUEUE", show_default=False, help="The queue to make anew.")],
    plugins: Plugins = None,
    why: Why = "",
    yes: Yes = False,
) -> None:
    """Make a queue anew whose arguments differ, and keep what is in it and what comes meanwhile.

    No worker may be alive. Call it again when it was interrupted.
    """
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.moving import migrate

    asyncio.run(migrate(Call(context), queue, plugins or (), why=why, yes=yes))


def _delete(
    context: typer.Context,
    queue: Annotated[str, typer.Argument(metavar="QUEUE", show_default=False, help="The queue to delete.")],
    drop: Annotated[
        int | None, typer.Option("--drop", min=0, metavar="N", help="So many messages may be lost with it.")
    ] = None,
    why: Why = "",
    yes: Yes = False,
) -> None:
    """Delete a queue that nobody consumes, and its dead-letter queue.

    If messages are in it, their number must be typed, or said with --drop.
    """
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.moving import delete

    asyncio.run(delete(Call(context), queue, drop=drop, why=why, yes=yes))
