"""`warren failures archive`, `restore`, `delete` and `export`: whole sets of failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.grammar import Command, examples

if TYPE_CHECKING:
    from engine.cli.views.archiving import Request

Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", show_default=False, help="Failures by id.")]
Where = Annotated[
    str | None,
    typer.Option("--where", metavar="FILTER", show_default=False, help="Those that match (see failures list --help)."),
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the audit.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def add_to(app: typer.Typer) -> None:
    """Add the verbs to `warren failures`."""
    app.command(
        "archive",
        cls=Command,
        epilog=examples(
            "warren failures archive 17 18 --why 'a test order'",
            "warren failures archive --where 'handler:charge older:30d'",
        ),
    )(_archive)
    app.command(
        "restore",
        cls=Command,
        epilog=examples("warren failures restore --act ar-4k7w2q9", "warren failures restore 17"),
    )(_restore)
    app.command("delete", cls=Command, epilog=examples("warren failures delete --where 'older:90d' --yes"))(_delete)
    app.command(
        "export",
        cls=Command,
        epilog=examples(
            "warren failures export --where 'handler:charge' --output charge.jsonl",
            "warren failures export 17 --unmasked --yes",
        ),
    )(_export)


def _archive(
    context: typer.Context,
    ids: Ids = None,
    where: Where = None,
    why: Why = "",
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Put failures away: lists and redrives leave them out. What it prints takes it back."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.archiving import archive

    asyncio.run(archive(Call(context), _request(ids, where, "open", why, dry_run, yes)))


def _restore(
    context: typer.Context,
    ids: Ids = None,
    where: Where = None,
    act: Annotated[
        str | None,
        typer.Option("--act", metavar="ACT", show_default=False, help="Exactly what this act archived."),
    ] = None,
    why: Why = "",
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Take failures out of the archive, with the status they had."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.archiving import restore

    if act is not None:
        where = f"{where or ''} act:{act}"
    asyncio.run(restore(Call(context), _request(ids, where, "archived", why, dry_run, yes)))


def _delete(
    context: typer.Context,
    ids: Ids = None,
    where: Where = None,
    why: Why = "",
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete archived failures for good, with their messages and edits. What is not archived stays."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.archiving import delete

    asyncio.run(delete(Call(context), _request(ids, where, "archived", why, dry_run, yes)))


def _export(
    context: typer.Context,
    ids: Ids = None,
    where: Where = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to write to; - is standard output.")
    ] = "-",
    unmasked: Annotated[bool, typer.Option("--unmasked", help="Write secrets, too. Asks first.")] = False,
    why: Why = "",
    yes: Yes = False,
) -> None:
    """Write failures whole, one JSON object a line, oldest first. Secrets are masked."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.exporting import export

    request = _request(ids, where or "", "open", why, False, yes)
    asyncio.run(export(Call(context), request, output=output, unmasked=unmasked))


def _request(ids: list[int] | None, where: str | None, status: str, why: str, dry_run: bool, yes: bool) -> Request:
    import time

    from engine.cli.views.archiving import Request
    from engine.errors import UsageError
    from engine.operations.failures import make_filter

    if not ids and where is None:
        raise UsageError("which failures?", hint="Name ids, or say which with --where 'handler:charge older:30d'.")
    wanted = make_filter(now=time.time(), ids=ids or (), where=where, status="all" if ids else status)
    return Request(wanted, why, dry_run, yes)
