"""What `warren trace` prints."""

from __future__ import annotations

import os
from collections.abc import Iterable

from engine.cli.call import Call
from engine.cli.output import Column, number
from engine.operations.durations import format_duration
from engine.operations.text import visible
from engine.operations.trace import Line, Trace, as_dict, date, lines, recent, trace

LIST = (
    Column("began", "BEGAN", show=date),
    Column("type", "FIRST EVENT"),
    number("events", "EVENTS"),
    number("failures", "FAILED"),
    Column("correlation_id", "CORRELATION"),
)

#: How a line is set off on a terminal, by its state; the state itself stands in the line.
STYLES = {
    "dead": "red",
    "open": "red",
    "failed again": "red",
    "failed otherwise": "red",
    "waiting": "yellow",
    "running": "yellow",
    "not begun": "yellow",
    "delayed": "yellow",
    "promised": "yellow",
    "pending": "yellow",
    "done": "green",
    "succeeded": "green",
    "unknown": "dim",
    "forgotten": "dim",
    "keyed": "dim",
    "cancelled": "dim",
}


async def show(call: Call, reference: str) -> None:
    """Print a trace."""
    out = call.output
    async with call.database() as database:
        found = await trace(database, reference, masking=call.masking)
    out.result(as_dict(found))
    if out.as_json:
        return
    out.line(f"correlation {found.correlation_id}: {_summary(found)}")
    if out.terminal and not os.environ.get("NO_COLOR"):
        _print_styled(lines(found))
    else:
        for line in lines(found):
            out.line(visible(line.prefix + line.text))
    if found.truncated:
        out.note("There is more: only the first 2,000 events and the newest 1,000 failures were read.")


async def show_recent(call: Call, limit: int) -> None:
    """List the correlations of late."""
    async with call.database() as database:
        found = await recent(database, limit=limit)
    call.output.items([each._asdict() for each in found], LIST, "The log has no events yet.")


def _summary(found: Trace) -> str:
    parts = [_number(found.events, "event"), f"{found.handled:,} handled"]
    if found.open_failures:
        parts.append(f"{found.open_failures:,} failed")
    if found.waiting:
        parts.append(f"{found.waiting:,} under way")
    if found.began is not None and found.ended is not None:
        parts.append(format_duration(found.ended - found.began))
    return ", ".join(parts)


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _print_styled(found: Iterable[Line]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    for line in found:
        style = STYLES.get(line.state, "")
        console.print(Text(visible(line.prefix), style="dim").append(visible(line.text), style=style))
