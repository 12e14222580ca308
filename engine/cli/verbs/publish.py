"""`warren publish`: publish an event."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import examples

NAME = "publish"
EXAMPLES = examples(
    """warren publish order.placed '{"order_id": "42", "total": "9.90"}'""",
    "warren publish order.placed @order.json --aggregate order/42",
    "cat order.json | warren publish order.placed -",
    "warren publish order.placed '{}' --delay 5m --correlation-id c-1",
    """warren publish load.test '{"n": 1}' --count 10000""",
)


def verb(
    context: typer.Context,
    type: Annotated[
        str, typer.Argument(metavar="TYPE", help="The type of the event, which is its routing key: order.placed.")
    ],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="JSON|@FILE|-",
            show_default=False,
            help="The payload, an object; @ reads a file, - reads stdin. Default {}.",
        ),
    ] = None,
    aggregate: Annotated[
        str | None, typer.Option("--aggregate", metavar="TYPE/ID", help="What the event is about: order/42.")
    ] = None,
    correlation_id: Annotated[
        str | None, typer.Option("--correlation-id", metavar="ID", help="Default: a new one.")
    ] = None,
    event_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The event's id. Default: a new one.")
    ] = None,
    version: Annotated[
        int | None,
        typer.Option("--version-of-type", min=1, metavar="N", help="The schema's version. Default: the model's, or 1."),
    ] = None,
    exchange: Annotated[
        str | None, typer.Option("--exchange", metavar="NAME", help="Default: the setting `exchange`.")
    ] = None,
    delay: Annotated[
        str | None, typer.Option("--delay", metavar="TIME", help="Arrive so much later: 250ms, 90s, 5m, 2h, 3d.")
    ] = None,
    count: Annotated[
        int,
        typer.Option(
            "--count", metavar="N", min=1, max=10_000_000, help="Publish so many, each with an id of its own."
        ),
    ] = 1,
) -> None:
    """Publish an event.

    Returns once the broker has confirmed it. A payload whose type a handler of the project knows is checked against its model first. That nobody
    subscribes is no error for an event, but it is said, with the nearest type that somebody takes.
    """
    import asyncio

    from engine.cli.call import Call
    from engine.cli.publishing import Wish, publish_wish

    wish = Wish(type, data, aggregate, correlation_id, event_id, version, exchange, delay, count)
    asyncio.run(publish_wish(Call(context), wish))
