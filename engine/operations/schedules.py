"""Schedules as an operator sees them: when each fires next, and who looks after it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from engine.model.scheduled import ScheduleSpec, assign_names
from engine.storage import leases, schedules
from engine.storage.database import Database
from engine.storage.liveness import Liveness


class ScheduleState(NamedTuple):
    """A schedule. `next` and `last` (the newest tick that fired) in seconds since the epoch, or None.

    `worker` is the living worker that looks after it, or None: then it does not fire. `declared`: whether
    a plugin of this project declares it; one that none declares is forgotten code, or another project's.
    """

    name: str
    spec: str
    timezone: str
    missed: str
    next: float | None
    last: float | None
    worker: str | None
    declared: bool


async def list_schedules(
    database: Database, app: str, specs: Sequence[ScheduleSpec], now: float
) -> list[ScheduleState]:
    """All schedules that workers of the application have looked after, or that these plugins declare, by name."""
    known = {
        each.name: each for each in await database.read(lambda connection: schedules.list_schedules(connection, app))
    }
    holders = await database.read(leases.holders)
    declared = assign_names(app, specs)
    liveness = await Liveness.open(database, None)
    try:
        states = []
        for name in sorted({*known, *declared}):
            owner = holders.get(f"schedule:{name}")
            worker = owner if owner is not None and liveness.alive(owner) else None
            states.append(_state(name, known.get(name), declared.get(name), worker, now))
    finally:
        await liveness.close()
    return states


def _state(
    name: str, row: schedules.Schedule | None, spec: ScheduleSpec | None, worker: str | None, now: float
) -> ScheduleState:
    if row is not None and (worker is not None or spec is None):
        said = (row.spec, row.timezone, row.missed, row.next)
    else:
        assert spec is not None
        said = (str(spec.timing), spec.timing.timezone, str(spec.missed), spec.timing.after(now))
    return ScheduleState(
        name=name,
        spec=said[0],
        timezone=said[1],
        missed=said[2],
        next=said[3] if math.isfinite(said[3]) else None,
        last=None if row is None else row.fired,
        worker=worker,
        declared=spec is not None,
    )
