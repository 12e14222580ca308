"""Which events are meant: the options that the verbs of `warren events` share."""

from __future__ import annotations

from typing import Annotated

import typer

Type = Annotated[
    list[str] | None,
    typer.Option(
        "--type", metavar="TYPE", show_default=False, help="Only of this type, or pattern: order.placed, 'order.*'."
    ),
]
Aggregate = Annotated[
    str | None,
    typer.Option("--aggregate", metavar="T/ID", help="Only about this aggregate: order/42, or order for all."),
]
Correlation = Annotated[
    str | None, typer.Option("--correlation-id", metavar="ID", help="Only with this correlation id.")
]
Origin = Annotated[
    str | None,
    typer.Option("--origin", metavar="ORIGIN", help="Only emitted, published, scheduled, appended or journalled."),
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Only logged since: 2h ago, or 2026-11-23T19:00 (UTC).")
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only logged before.")]
FromStream = Annotated[
    bool,
    typer.Option(
        "--from-stream", help="From the journal's stream on the broker (setting journal_to) in place of the database."
    ),
]
Offset = Annotated[
    int | None,
    typer.Option(
        "--offset",
        metavar="N",
        min=0,
        show_default=False,
        help="With --from-stream: from this offset of the stream on.",
    ),
]
Stream = Annotated[
    str | None,
    typer.Option("--stream", metavar="T/ID", help="Only what belongs to this stream: account/a-1, or account for all."),
]
Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="FILTER",
        show_default=False,
        help="Terms that must all hold, as in the monitor: 'type:order.* stream:account/a-1 newer:2h \"text in a body\"'.",
    ),
]


def check_offset(offset: int | None, from_stream: bool) -> None:
    """Raise `UsageError` for an offset where no stream is read."""
    if offset is not None and not from_stream:
        from engine.errors import UsageError

        raise UsageError("--offset is a place in the journal's stream", hint="Add --from-stream.")
