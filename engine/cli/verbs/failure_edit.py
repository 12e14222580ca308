"""`warren failures edit`: change a failed message before it is redriven."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import examples
from engine.cli.verbs.failure_acts import DryRun, Why, Yes

EXAMPLES = examples(
    "warren failures edit 17",
    "warren failures edit 17 --set data.total=9.50 --why 'the shop sent cents'",
    "warren failures edit 17 --body @fixed.json",
    "warren failures edit 17 --revert",
    "warren failures edit --where 'cause:3f0c9a1b2d4e' --set data.currency=EUR --dry-run",
)


def verb(
    context: typer.Context,
    id: Annotated[int | None, typer.Argument(metavar="ID", show_default=False, help="The failure.")] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            show_default=False,
            help="Set a field: data.total=9.50, data.lines[0].sku=A-1; := takes JSON, as in data.paid:=true.",
        ),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option("--unset", metavar="FIELD", show_default=False, help="Take a field away.")
    ] = None,
    body: Annotated[
        str | None,
        typer.Option("--body", metavar="BODY", show_default=False, help="The whole body: text, @file, or - for stdin."),
    ] = None,
    revert: Annotated[bool, typer.Option("--revert", help="Drop the edit that waits; the original is sent.")] = False,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="FILTER", show_default=False, help="With --set: all open failures that match."),
    ] = None,
    plugins: Annotated[
        list[str] | None,
        typer.Option("--plugin", metavar="PLUGIN", show_default=False, help="Check with the handlers of this plugin."),
    ] = None,
    why: Why = "",
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Edit a failed message, in $EDITOR unless --set or --body says what it becomes.

    It is checked against the payload model of its handler, shown as a difference, and kept with the failure until
    `warren redrive` sends it. The original stays. Secrets are placeholders, «masked 1»: those that stay keep their value.
    """
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.editing import Request, edit

    request = Request(
        id, tuple(fields or ()), tuple(without or ()), body, revert, where, tuple(plugins or ()), why, dry_run, yes
    )
    raise typer.Exit(asyncio.run(edit(Call(context), request)))
