"""What `warren queues` prints."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from engine.brokers.base import Broker
from engine.cli.call import Call
from engine.cli.output import Column, number
from engine.errors import QueueMissing
from engine.model.topology import stream_name
from engine.operations.durations import format_duration
from engine.operations.fleet import QueueFigures
from engine.operations.measuring import measure, pace_dict
from engine.operations.queues import QueueState, as_dict, list_queues
from engine.operations.workers import living

COLUMNS = (
    Column("name", "QUEUE"),
    Column("handler", "HANDLER"),
    number("ready", "READY", lambda ready: "missing" if ready is None else f"{ready:,}"),
    number("consumers", "CONSUMERS"),
    number("in_flight", "IN FLIGHT"),
    number("dead", "DEAD"),
    number("dead_letters", "IN DLQ"),
)
#: How it moves, where it was watched.
PACE = (
    number("in_per_second", "IN/S", lambda rate: "-" if rate is None else f"{rate:,.1f}"),
    number("out_per_second", "OUT/S", lambda rate: "-" if rate is None else f"{rate:,.1f}"),
    Column("lag", "LAG", True),
    Column("oldest", "OLDEST", True),
)
#: The shortest watch, in seconds: workers report each second.
SHORTEST = 2.0
#: Beside the name, where there is anything to say.
STATE = Column("state", "STATE", show=lambda state: state or "-")


async def show_queues(call: Call, watched: float | None = None) -> None:
    """List the queues; with `watched`, after so many seconds, how they move too."""
    settings = call.settings
    specs = call.specs_if_any()
    async with call.database() as database, call.broker() as broker:
        alive = await living(database, settings.app)
        moving: Mapping[str, QueueFigures] = {}
        if watched is not None:
            figures = await measure(database, broker, settings.app, max(watched, SHORTEST))
            moving = {each.name: each for each in figures}
        found = await list_queues(database, broker, settings.app, specs, alive)
        stream = await _stream(call, broker)
    rows = [{**as_dict(queue), **_pace(call, moving.get(queue.name))} for queue in found.queues]
    columns = (COLUMNS[0], STATE, *COLUMNS[1:]) if any(queue.state for queue in found.queues) else COLUMNS
    if watched is not None:
        columns = (*columns[:-2], *PACE, *columns[-2:])
    call.output.items(
        rows,
        columns,
        "There are no queues yet: a worker declares them when it starts.",
        delayed=found.delayed,
        **({} if stream is None else {"stream": stream}),
    )
    now = time.time()
    said = [line for queue in found.queues for line in _said(queue, now)]
    if said:
        call.output.line()
    for line in said:
        call.output.line(line)
    if stream is not None:
        call.output.line(
            f"\nThe journal's stream {stream['name']} has the offsets {stream['first']:,} to {stream['next']:,}; nobody consumes it."
        )
    if found.delayed:
        call.output.line(f"\n{found.delayed:,} messages wait on the delay queues.")


def _pace(call: Call, figures: QueueFigures | None) -> dict[str, Any]:
    """How a queue moves; for people also in words."""
    if figures is None:
        return {}
    told = pace_dict(figures)
    if call.output.as_json:
        return told
    lag, oldest = told["lag_s"], told["oldest_s"]
    more = ">" if told["oldest_at_least"] else ""
    return {
        **told,
        "lag": "stuck" if told["stuck"] else "-" if lag is None else "0" if not lag else format_duration(lag),
        "oldest": "-" if oldest is None else f"{more}{format_duration(oldest)}",
    }


async def _stream(call: Call, broker: Broker) -> dict[str, object] | None:
    """What the journal's stream holds, None where the settings want none or it is not there yet."""
    settings = call.settings
    if not settings.journal or settings.stream is None:
        return None
    name = stream_name(settings.app)
    try:
        span = await broker.span(name)
    except QueueMissing:
        return None
    return {"name": name, "first": span.first, "next": span.next}


def _said(queue: QueueState, now: float) -> list[str]:
    """What is out of the ordinary about a queue."""
    lines: list[str] = []
    if queue.paused is not None:
        pause = queue.paused
        because = f": {pause.why}" if pause.why else ""
        lines.append(f"{queue.name} was paused {format_duration(now - pause.since)} ago by {pause.who}{because}.")
    if queue.circuit is not None:
        circuit = queue.circuit.circuit
        wait = f"in {format_duration(circuit.next_probe - now)}" if circuit.next_probe > now else "now"
        lines.append(
            f"{queue.name} is left alone since {circuit.failures:,} attempts in a row failed with "
            f"{circuit.cause.exception}; the next message is tried {wait}. `warren queues resume` has it consumed at once."
        )
    if queue.held:
        waits = "1 message waits" if queue.held == 1 else f"{queue.held:,} messages wait"
        lines.append(
            f"{waits} behind failures of {queue.name}, in the order of their keys, until those are redriven or archived."
        )
    if queue.crowded:
        lines.append(
            f"{queue.name} has more consumers ({queue.consumers}) than this database has workers: it is consumed against "
            "another database, and an event may be handled in both."
        )
    return lines
