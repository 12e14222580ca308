"""What `warren queues` prints."""

from __future__ import annotations

import time

from engine.cli.call import Call
from engine.cli.output import Column, number
from engine.operations.durations import format_duration
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
#: Beside the name, where there is anything to say.
STATE = Column("state", "STATE", show=lambda state: state or "-")


async def show_queues(call: Call) -> None:
    """List the queues."""
    settings = call.settings
    specs = call.specs_if_any()
    async with call.database() as database, call.broker() as broker:
        alive = await living(database, settings.app)
        found = await list_queues(database, broker, settings.app, specs, alive)
    rows = [as_dict(queue) for queue in found.queues]
    columns = (COLUMNS[0], STATE, *COLUMNS[1:]) if any(queue.state for queue in found.queues) else COLUMNS
    call.output.items(
        rows, columns, "There are no queues yet: a worker declares them when it starts.", delayed=found.delayed
    )
    now = time.time()
    said = [line for queue in found.queues for line in _said(queue, now)]
    if said:
        call.output.line()
    for line in said:
        call.output.line(line)
    if found.delayed:
        call.output.line(f"\n{found.delayed:,} messages wait on the delay queues.")


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
    if queue.crowded:
        lines.append(
            f"{queue.name} has more consumers ({queue.consumers}) than this database has workers: it is consumed against "
            "another database, and an event may be handled in both."
        )
    return lines
