"""`warren demo`: the whole story in a minute."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.grammar import examples

NAME = "demo"
EXAMPLES = examples(
    "warren demo",
    "warren demo --headless",
    "warren demo --json --orders 50",
    "warren demo --broker amqp://guest:guest@localhost/",
)


def verb(
    context: typer.Context,
    headless: Annotated[bool, typer.Option("--headless", help="Print progress and a summary, draw nothing.")] = False,
    orders: Annotated[int, typer.Option("--orders", min=1, max=100_000, help="How many orders flow.")] = 200,
) -> None:
    """See it work in a minute, without any set-up.

    Orders flow, fail, are retried, dead-lettered and redriven. It starts a broker, a worker and a publisher of its own, in a folder of its own, and proves at the
    end by the database that every order ended once. Exits with 1 if anything was lost or doubled.
    """
    from engine.cli.call import Call
    from engine.cli.demo import run_demo

    call = Call(context)
    raise typer.Exit(run_demo(call, headless=headless, orders=orders))
