"""`warren projections`: how far they have come, rebuilding them, and what to do when one stops."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import Command, Group, examples

NAME = "projections"

Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="A projection, or its function.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the audit.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Rebuilt = Annotated[bool, typer.Option("--rebuild", help="The copy that is being rebuilt, not the live one.")]


def build() -> typer.Typer:
    """The verb with its verbs."""
    app = typer.Typer(
        cls=Group,
        help="Show the projections of the log, rebuild them, and have them go on.",
        epilog=examples("warren projections list", "warren projections rebuild orders"),
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for name, verb, lines in (
        ("list", _list, ("warren projections list", "warren projections list --json")),
        ("show", _show, ("warren projections show orders",)),
        ("rebuild", _rebuild, ("warren projections rebuild orders", "warren projections rebuild orders --no-swap")),
        ("compare", _compare, ("warren projections compare orders",)),
        ("pause", _pause, ("warren projections pause orders --why 'the disk is full'",)),
        ("resume", _resume, ("warren projections resume orders",)),
        ("skip", _skip, ("warren projections skip orders --why 'a test order'",)),
    ):
        app.command(name, cls=Command, epilog=examples(*lines))(verb)
    return app


def _list(context: typer.Context) -> None:
    """List the projections: how far behind the log each is, what stops it, and which worker looks after it."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.projections import show_all

    asyncio.run(show_all(Call(context)))


def _show(context: typer.Context, name: Name) -> None:
    """Show one projection, with the event at which it stands if one fails."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.projections import show_one

    asyncio.run(show_one(Call(context), name))


def _rebuild(
    context: typer.Context,
    name: Name,
    swap: Annotated[bool, typer.Option("--swap/--no-swap", help="Take the live one's place in the end.")] = True,
    detach: Annotated[bool, typer.Option("--detach", help="Begin, and leave it to the workers.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Give up the rebuild that is under way.")] = False,
    why: Why = "",
    yes: Yes = False,
) -> None:
    """Make its tables anew from the whole log, beside the live ones, compare both, and swap them.

    The live tables are kept up to date meanwhile and can be read all the time. Workers do the work; with none alive it is done
    here. Ctrl+c leaves the rebuild as it is: the same command goes on with it, or drops it with --cancel.
    """
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.rebuilding import Request, cancel_rebuild, rebuild

    if cancel:
        asyncio.run(cancel_rebuild(Call(context), name, why=why, yes=yes))
    else:
        raise typer.Exit(asyncio.run(rebuild(Call(context), name, Request(swap, detach, why, yes))))


def _compare(context: typer.Context, name: Name) -> None:
    """Compare the live tables with those that are being rebuilt; exits 1 when they differ."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.rebuilding import compare

    raise typer.Exit(asyncio.run(compare(Call(context), name)))


def _pause(context: typer.Context, name: Name, why: Why = "", yes: Yes = False) -> None:
    """Have a projection stand still until it is resumed, in all workers and across restarts."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.projections import pause

    asyncio.run(pause(Call(context), name, why=why, yes=yes))


def _resume(context: typer.Context, name: Name, why: Why = "", yes: Yes = False) -> None:
    """Have a projection go on: one that is paused, or that waits to try an event again."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.projections import resume

    asyncio.run(resume(Call(context), name, why=why, yes=yes))


def _skip(context: typer.Context, name: Name, rebuilt: Rebuilt = False, why: Why = "", yes: Yes = False) -> None:
    """Leave out the one event at which a projection stands, on the record. The log is not changed."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.projections import skip

    asyncio.run(skip(Call(context), name, rebuilt=rebuilt, why=why, yes=yes))
