"""`warren doctor`: what is wrong, and what to do."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import examples

NAME = "doctor"
EXAMPLES = examples("warren doctor", "warren doctor --json", "warren doctor --broker amqp://guest:guest@localhost/")


def verb(
    context: typer.Context,
    plugins: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PLUGIN",
            show_default=False,
            help="Modules, files or folders with handlers; without any, those of the project.",
        ),
    ] = None,
) -> None:
    """Find what is wrong, and say what to do.

    Checks broker, database, plugins and topology. Exits with 1 if a check fails."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.doctor import examine

    raise typer.Exit(asyncio.run(examine(Call(context), plugins or ())))
