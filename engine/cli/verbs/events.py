"""`warren events`: the log of events."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import Command, Group, examples
from engine.cli.verbs import event_files
from engine.cli.verbs.event_options import (
    Aggregate,
    Correlation,
    FromStream,
    Offset,
    Origin,
    Since,
    Stream,
    Type,
    Until,
    Where,
    check_offset,
)

NAME = "events"


def build() -> typer.Typer:
    """The verb with its verbs."""
    app = typer.Typer(
        cls=Group,
        help="Search the log of events, and follow it.\n\nIt has what handlers emitted, what was published with a transaction, the"
        " streams of aggregates, and what the setting journal asks for.",
        epilog=examples("warren events list", "warren events show 17", "warren events tail"),
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    listing = examples(
        "warren events list",
        "warren events list --from-stream --since 2h",
        "warren events list --type 'order.*' --since 2h",
        "warren events list --aggregate order/42 --json",
        "warren events list --where 'stream:account newer:2h \"o-17\"'",
    )
    app.command("list", cls=Command, epilog=listing)(_list)
    app.command("show", cls=Command, epilog=examples("warren events show 17"))(_show)
    app.command(
        "tail", cls=Command, epilog=examples("warren events tail", "warren events tail --type 'order.*' --json")
    )(_tail)
    event_files.add_to(app)
    return app


def _list(
    context: typer.Context,
    where: Where = None,
    type: Type = None,
    aggregate: Aggregate = None,
    stream: Stream = None,
    correlation_id: Correlation = None,
    origin: Origin = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 50,
    before: Annotated[
        int | None, typer.Option("--before", metavar="POSITION", min=1, help="Go on below this position.")
    ] = None,
    from_stream: FromStream = False,
    offset: Offset = None,
) -> None:
    """List events, the newest first. With --json their payloads too."""
    import asyncio
    import time

    from engine.cli.call import Call
    from engine.cli.views import stream_events
    from engine.cli.views.events import show_list
    from engine.operations.event_filtering import added
    from engine.operations.events import make_filter

    now = time.time()
    asked = make_filter(
        now=now,
        types=type or (),
        aggregate=aggregate,
        stream=stream,
        correlation_id=correlation_id,
        origin=origin,
        since=since,
        until=until,
    )
    wanted = added(asked, where or "", now=now)
    check_offset(offset, from_stream)
    if from_stream:
        asyncio.run(stream_events.show_list(Call(context), wanted, limit=limit, offset=offset, before=before))
    else:
        asyncio.run(show_list(Call(context), wanted, limit=limit, before=before))


def _show(
    context: typer.Context,
    event: Annotated[
        str,
        typer.Argument(
            metavar="EVENT", show_default=False, help="Its position, or its id; with --from-stream its offset."
        ),
    ],
    from_stream: FromStream = False,
) -> None:
    """Show one event with its payload."""
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views import stream_events
    from engine.cli.views.events import show_one

    show = stream_events.show_one if from_stream else show_one
    asyncio.run(show(Call(context), event))


def _tail(
    context: typer.Context,
    where: Where = None,
    type: Type = None,
    aggregate: Aggregate = None,
    stream: Stream = None,
    correlation_id: Correlation = None,
    origin: Origin = None,
    since: Since = None,
    last: Annotated[int, typer.Option("--last", min=0, max=10_000, help="Begin with so many that are there.")] = 10,
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", min=1, show_default=False, help="End after N events.")
    ] = None,
    from_stream: FromStream = False,
    offset: Offset = None,
) -> None:
    """Print events as they are logged, in order and none left out, until ctrl+c. With --json one object a line."""
    import asyncio
    import time

    from engine.cli.call import Call
    from engine.cli.views import stream_events
    from engine.cli.views.events import follow
    from engine.operations.event_filtering import added
    from engine.operations.events import make_filter

    now = time.time()
    asked = make_filter(
        now=now,
        types=type or (),
        aggregate=aggregate,
        stream=stream,
        correlation_id=correlation_id,
        origin=origin,
        since=since,
    )
    wanted = added(asked, where or "", now=now)
    check_offset(offset, from_stream)
    if from_stream:
        asyncio.run(stream_events.follow(Call(context), wanted, offset=offset, last=last, count=count))
    else:
        asyncio.run(follow(Call(context), wanted, last=last, count=count))
