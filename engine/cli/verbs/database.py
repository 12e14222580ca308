"""`warren db`: the tables."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import Command, Group, examples

NAME = "db"


def build() -> typer.Typer:
    """The verb with its verbs."""
    app = typer.Typer(
        cls=Group,
        help="Migrate, check and prune the database.",
        epilog=examples(
            "warren db check",
            "warren db upgrade --database postgresql://localhost/shop",
            "warren db prune --older-than 30d",
        ),
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    app.command("upgrade", cls=Command, epilog=examples("warren db upgrade", "warren db upgrade --yes"))(_upgrade)
    app.command("check", cls=Command, epilog=examples("warren db check", "warren db check --json"))(_check)
    app.command("prune", cls=Command, epilog=examples("warren db prune --older-than 30d", "warren db prune --dry-run"))(
        _prune
    )
    return app


def _upgrade(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Bring the tables to the version of this program. One release older still runs on them."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.database import upgrade

    asyncio.run(upgrade(Call(context), yes=yes))


def _check(context: typer.Context) -> None:
    """Print version, sizes and backlog. Exits with 1 if the tables are outdated."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.database import check

    raise typer.Exit(asyncio.run(check(Call(context))))


def _prune(
    context: typer.Context,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Records that ended longer ago.")
    ] = "30d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget the records of messages that ended long ago.

    A copy that arrives after its record is gone runs again: keep them longer than any retry,
    delay or dead letter may take.
    """
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.database import prune
    from engine.operations.durations import parse_duration

    asyncio.run(prune(Call(context), parse_duration(older_than), dry_run=dry_run, yes=yes))
