"""`warren events export`, `import` and `archive`: the log as lines of JSON."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import Command, examples
from engine.cli.verbs.event_options import Aggregate, Correlation, Origin, Since, Stream, Type, Until

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def add_to(app: typer.Typer) -> None:
    """Add the verbs to `warren events`."""
    exporting = examples(
        "warren events export --type 'order.*' --output orders.jsonl",
        "warren events export --stream account/a-1 --unmasked --output a-1.jsonl",
    )
    app.command("export", cls=Command, epilog=exporting)(_export)
    app.command("import", cls=Command, epilog=examples("warren events import a-1.jsonl --yes"))(_import)
    archiving = examples(
        "warren events archive --stream account/a-1 --output a-1.jsonl",
        "warren events archive --stream order --idle 365d --output orders-2025.jsonl",
    )
    app.command("archive", cls=Command, epilog=archiving)(_archive)


def _export(
    context: typer.Context,
    type: Type = None,
    aggregate: Aggregate = None,
    stream: Stream = None,
    correlation_id: Correlation = None,
    origin: Origin = None,
    since: Since = None,
    until: Until = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to; - is standard output.")
    ] = "-",
    unmasked: Annotated[bool, typer.Option("--unmasked", help="With secrets; only so can it be imported.")] = False,
    yes: Yes = False,
) -> None:
    """Write events as lines of JSON, in the order of the log."""
    import asyncio
    import time

    from engine.cli.call import Call
    from engine.cli.views.event_files import export
    from engine.operations.events import make_filter

    wanted = make_filter(
        now=time.time(),
        types=type or (),
        aggregate=aggregate,
        stream=stream,
        correlation_id=correlation_id,
        origin=origin,
        since=since,
        until=until,
    )
    asyncio.run(export(Call(context), wanted, output=output, unmasked=unmasked, yes=yes))


def _import(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", show_default=False, help="An export; - is standard input.")],
    yes: Yes = False,
) -> None:
    """Take exported events into the log, at their places in their streams. Nothing is published."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.event_files import take

    asyncio.run(take(Call(context), file, yes=yes))


def _archive(
    context: typer.Context,
    stream: Annotated[
        str,
        typer.Option("--stream", metavar="T/ID", show_default=False, help="Which: account/a-1, or account for all."),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", show_default=False, help="Where to: a file that is new.")
    ],
    idle: Annotated[
        str | None, typer.Option("--idle", metavar="AGE", help="Only where nothing was appended for so long: 365d.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Move whole streams out of the log, into a file. `import` takes them back."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.event_files import archive

    asyncio.run(archive(Call(context), stream, idle=idle, output=output, yes=yes))
