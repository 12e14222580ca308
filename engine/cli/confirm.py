"""Asking before something changes."""

from __future__ import annotations

import sys

import typer

from engine.cli.output import Output
from engine.errors import UsageError

#: From this many messages on the count must be typed, not only a y.
LARGE = 100


def confirm(output: Output, question: str, *, yes: bool, count: int = 0, large: int = LARGE) -> None:
    """Return if the operator agrees. Ends the call with exit code 1 if he does not, 2 if nobody can be asked.

    From `large` on the count must be typed. Raises `ReadOnly` before it asks for what will be refused anyway.
    """
    output.permit()
    if yes:
        return
    if output.as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "this changes something, and there is no terminal to ask on", hint="Say --yes to go on without a question."
        )
    wanted = str(count) if count >= large else "y"
    prompt = f"{question} [type {wanted} to go on] " if count >= large else f"{question} [y/N] "
    sys.stderr.write(prompt)
    sys.stderr.flush()
    answer = sys.stdin.readline().strip().lower()
    if answer != wanted and not (wanted == "y" and answer == "yes"):
        output.note("Nothing was changed.")
        raise typer.Exit(1)
