"""`warren new`: files to begin with."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import Command, Group, examples

NAME = "new"
EXAMPLES = examples(
    "warren new handler send_welcome",
    "warren new handler send_welcome --event customer.registered",
)


def build() -> typer.Typer:
    """The verb with its verbs."""
    app = typer.Typer(
        cls=Group, help="Write files to begin with.", epilog=EXAMPLES, no_args_is_help=True, rich_markup_mode=None
    )
    app.callback()(_new)
    app.command("handler", cls=Command, epilog=EXAMPLES)(_handler)
    return app


def _new() -> None:
    """Only a group."""


def _handler(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The function's name, and the file's: send_welcome.")],
    event: Annotated[
        str | None,
        typer.Option("--event", metavar="TYPE", help="The event that it handles. Default: NAME.requested."),
    ] = None,
) -> None:
    """Write a handler and its test; both run at once.

    The handler goes to handlers/NAME.py, its test to tests/test_NAME.py; nothing is overwritten. An event type
    that no handler of the project knows gets a class of its own, in handlers/events.py where there is one.
    """
    from engine.cli.call import Call
    from engine.cli.scaffold import new_handler

    new_handler(Call(context), name, event)
