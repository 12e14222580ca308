"""`warren workers`: who is working, and how fast."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import examples

NAME = "workers"
EXAMPLES = examples(
    "warren workers", "warren workers --json", "warren workers --check", "warren workers --check --host web-1"
)


def verb(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 0 if a worker lives, else with 1. For health checks.")
    ] = False,
    host: Annotated[str | None, typer.Option("--host", metavar="NAME", help="Only workers on this host.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also workers that have stopped or died.")] = False,
) -> None:
    """List the workers, and how fast they are.

    Counters run since the worker started. A worker is alive when its lock is held (SQLite) or its counter moves (PostgreSQL), whatever a clock says.
    """
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.workers import show_workers

    raise typer.Exit(asyncio.run(show_workers(Call(context), check=check, host=host, every=every)))
