"""`warren audit`: who did what, when and why."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import examples

NAME = "audit"
EXAMPLES = examples(
    "warren audit",
    "warren audit --action 'failures*' --newer-than 1d",
    "warren audit --who 'anna@*' --json",
)


def verb(
    context: typer.Context,
    action: Annotated[
        str | None,
        typer.Option("--action", metavar="NAME", show_default=False, help="Only this action, or failures* for a kind."),
    ] = None,
    who: Annotated[
        str | None, typer.Option("--who", metavar="NAME", show_default=False, help="Only of this operator, or anna@*.")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="TEXT", show_default=False, help="Only where why or what contain this."),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="AGE", show_default=False, help="Only what was longer ago: 2h."),
    ] = None,
    newer_than: Annotated[
        str | None, typer.Option("--newer-than", metavar="AGE", show_default=False, help="Only what was since: 30m.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many rows.")] = 50,
) -> None:
    """List what operators did, the newest first. Nothing is ever taken out of the audit."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.audit import Wanted, show_audit
    from engine.operations.durations import parse_duration

    wanted = Wanted(
        action,
        who,
        text,
        None if older_than is None else parse_duration(older_than),
        None if newer_than is None else parse_duration(newer_than),
        limit,
    )
    asyncio.run(show_audit(Call(context), wanted))
