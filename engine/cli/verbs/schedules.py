"""`warren schedules`: what fires when."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import Command, Group, examples

NAME = "schedules"


def build() -> typer.Typer:
    """The verb with its verbs."""
    app = typer.Typer(
        cls=Group,
        help="Show what @every and @cron publish, and when.",
        epilog=examples("warren schedules list"),
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    app.command("list", cls=Command, epilog=examples("warren schedules list", "warren schedules list --json"))(_list)
    app.callback()(_group)
    return app


def _group() -> None:
    """Without it the one verb would take the place of the group."""


def _list(
    context: typer.Context,
    plugins: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PLUGIN",
            show_default=False,
            help="Modules, files or folders with schedules; without any, those of the project.",
        ),
    ] = None,
) -> None:
    """List the schedules: when each fires next and fired last, and which worker looks after it.

    Times are in the schedule's own zone. One that nobody looks after does not fire: start a worker with its plugin.
    """
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.schedules import show

    asyncio.run(show(Call(context), plugins or ()))
