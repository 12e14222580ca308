"""The verbs, put together. Importing this imports no verb's work: that happens inside the verbs."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import EXIT_CODES, Command, Group
from engine.cli.verbs import (
    audit,
    database,
    demo,
    doctor,
    events,
    failures,
    monitor,
    new,
    operations,
    projections,
    publish,
    queues,
    redrive,
    replay,
    schedules,
    topology,
    trace,
    worker,
    workers,
)

HELP = """Warren: a workflow engine on RabbitMQ.

Without any set-up it runs on an embedded broker and SQLite in the folder .warren; --broker and
--database move the same handlers to RabbitMQ and PostgreSQL."""


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("warren")
        except PackageNotFoundError:
            number = "unknown"
        typer.echo(f"warren {number}")
        raise typer.Exit


def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


_VERBS = (demo, monitor, worker, publish, workers, redrive, replay, trace, audit, doctor)
_GROUPS = (queues, schedules, failures, operations, events, projections, topology, database, new)


def build(first: str = "") -> typer.Typer:
    """The command line: all of it, unless `first` is a verb, which is then made alone, since making all takes 0.1 s."""
    app = typer.Typer(
        name="warren",
        cls=Group,
        help=HELP,
        epilog=EXIT_CODES,
        invoke_without_command=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback()(_root)
    known = first in {module.NAME for module in (*_VERBS, *_GROUPS)}
    for module in _VERBS:
        if not known or first == module.NAME:
            app.command(module.NAME, cls=Command, epilog=module.EXAMPLES)(module.verb)
    for group in _GROUPS:
        if not known or first == group.NAME:
            app.add_typer(group.build(), name=group.NAME)
    return app
