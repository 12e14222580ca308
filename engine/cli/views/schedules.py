"""What `warren schedules` prints."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from engine.cli.call import Call
from engine.cli.output import Column
from engine.operations.schedules import ScheduleState, list_schedules

SCHEDULES = (
    Column("name", "SCHEDULE"),
    Column("spec", "WHEN"),
    Column("timezone", "TIME ZONE"),
    Column("missed", "MISSED"),
    Column("next_shown", "NEXT"),
    Column("last_shown", "LAST"),
    Column("worker", "LOOKED AFTER BY", show=lambda worker: worker or "nobody"),
)


async def show(call: Call, plugins: Sequence[str]) -> None:
    """List the schedules."""
    specs = call.plugins(plugins).schedules if plugins else call.schedules_if_any()
    async with call.database() as database:
        states = await list_schedules(database, call.settings.app, specs, time.time())
    call.output.items(
        [_row(state) for state in states] if not call.output.as_json else [state._asdict() for state in states],
        SCHEDULES,
        "There are no schedules: decorate a function with @every or @cron from engine.",
    )
    forgotten = [state.name for state in states if not state.declared and state.worker is None]
    if forgotten:
        call.output.note(f"No plugin here declares {', '.join(forgotten)}, and no worker looks after it.")


def _row(state: ScheduleState) -> dict[str, Any]:
    return {
        **state._asdict(),
        "next_shown": _time(state.next, state.timezone),
        "last_shown": _time(state.last, state.timezone),
    }


def _time(moment: float | None, timezone: str) -> str:
    """A moment in the schedule's own zone."""
    if moment is None:
        return "-"
    try:
        zone: Any = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):  # written by a machine that knows more zones
        zone = UTC
    return datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M:%S %z")
