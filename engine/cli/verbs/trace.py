"""`warren trace`: all that one correlation id led to."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import examples

NAME = "trace"
EXAMPLES = examples(
    "warren trace visit-7", "warren trace 01a20aee-abd3-7649-a7b7-76db39832dcc", "warren trace '#17'", "warren trace"
)


def verb(
    context: typer.Context,
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            show_default=False,
            help="A correlation id, or the id of an event or a failure (17, '#17'). Without one: the correlations of late.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Correlations to list, at most.")] = 20,
) -> None:
    """Show as a tree what one event led to: events, what handlers made of them, failures, redrives and replays.

    Times are counted from the first event. What was published outside of a transaction is known by the records of its
    handlers, and by the log where the setting journal asks for it.
    """
    import asyncio

    from engine.cli.call import Call
    from engine.cli.views.trace import show, show_recent

    call = Call(context)
    asyncio.run(show_recent(call, limit) if reference is None else show(call, reference))
