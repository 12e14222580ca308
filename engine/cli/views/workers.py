"""What `warren workers` prints."""

from __future__ import annotations

import time
from typing import Any

from engine.cli.call import Call
from engine.cli.output import Column, number
from engine.operations.durations import format_duration
from engine.operations.pausing import shut, state_of
from engine.operations.workers import WorkerState, as_dict, list_workers, summed

WORKERS = (
    Column("id", "WORKER"),
    Column("host", "HOST"),
    Column("pid", "PID", True),
    Column("group", "GROUP", show=lambda group: group or "-"),
    Column("state", "STATE"),
    Column("uptime_s", "UP", True, format_duration),
    Column("silence_s", "LAST BEAT", True, format_duration),
    Column("version", "VERSION"),
)


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else format_duration(seconds)


HANDLERS = (
    Column("queue", "QUEUE"),
    number("workers", "WORKERS"),
    number("handled", "HANDLED"),
    number("failed", "FAILED"),
    number("retried", "RETRIED"),
    number("dead", "DEAD"),
    number("duplicates", "DUPLICATES"),
    number("in_flight", "IN FLIGHT"),
    number("p50_s", "P50", _duration),
    number("p95_s", "P95", _duration),
    number("p99_s", "P99", _duration),
)
#: Beside the queue, where there is anything to say.
STATE = Column("state", "STATE", show=lambda state: state or "-")


async def show_workers(call: Call, *, check: bool, host: str | None, every: bool) -> int:
    """List workers; the exit code says with `check` whether one lives."""
    async with call.database() as database:
        found = await list_workers(database, call.settings.app)
        held = await shut(database)
    states = [state for state in found if host is None or state.host == host]
    alive = sum(state.alive for state in states)
    shown = [state for state in states if every or state.alive]
    if check:
        call.output.result({"alive": alive, "items": _rows(shown)})
        call.output.line(f"{alive} workers are alive." if alive != 1 else "1 worker is alive.")
        return 0 if alive else 1
    empty = (
        "No worker is alive; --all shows those that were."
        if states
        else "No worker has run yet: start one with `warren worker`."
    )
    rows = _rows(shown)
    handlers = [{**row, "state": state_of(row["queue"], held)} for row in summed(shown)]
    call.output.items(rows, WORKERS, empty, alive=alive, handlers=handlers)
    if handlers and not call.output.as_json:
        call.output.line()
        call.output.table(
            handlers, (HANDLERS[0], STATE, *HANDLERS[1:]) if any(row["state"] for row in handlers) else HANDLERS
        )
    return 0


def _rows(states: list[WorkerState]) -> list[dict[str, Any]]:
    now = time.time()
    return [{**as_dict(state, now), "silence_s": round(max(now - state.beat, 0), 3)} for state in states]
