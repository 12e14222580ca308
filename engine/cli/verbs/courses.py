"""The options of verbs that order an operation."""

from __future__ import annotations

from typing import Annotated

import typer

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit.")]
Canary = Annotated[
    int | None,
    typer.Option(
        "--canary",
        metavar="N",
        min=0,
        show_default=False,
        help="Send N first, and the rest only if all of them succeed; 0 for none. Of 100 messages and more 10, unless said.",
    ),
]
Rate = Annotated[float | None, typer.Option("--rate", metavar="N", help="At most N messages a second.")]
Ramp = Annotated[bool, typer.Option("--ramp", help="Begin with 1 a second, then 10, 100 … up to --rate, each for 5 s.")]
StopAfter = Annotated[
    int | None,
    typer.Option(
        "--stop-after",
        metavar="N",
        min=0,
        show_default=False,
        help="Stop when N have failed again; 0 for never. Unless said: 10, if they are a fifth of the outcomes.",
    ),
]
Detach = Annotated[bool, typer.Option("--detach", help="Only record the operation, and leave it to the workers.")]
Wait = Annotated[
    str | None, typer.Option("--wait", metavar="TIME", help="Wait so long for the outcomes and report them.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
