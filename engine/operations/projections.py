"""Projections as an operator sees them: how far each has come, what stops it, and having it go on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import UsageError
from engine.model.names import nearest
from engine.model.projection import ProjectionSpec, assign_projections
from engine.operations.operator import Operator
from engine.operations.writing import write
from engine.runtime.projector import lease_name
from engine.storage import audit, leases, projecting, projections
from engine.storage.database import Database
from engine.storage.liveness import Liveness
from engine.storage.projecting import COUNTED
from engine.storage.projections import PAUSED, Checkpoint

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = (
    "COUNTED",
    "Checkpoint",
    "CopyState",
    "ProjectionState",
    "as_dict",
    "find",
    "list_projections",
    "pause",
    "resume",
    "skip",
)

RUNNING, FAILING, UNATTENDED, OUTDATED = "running", "failing", "unattended", "outdated"


class CopyState(NamedTuple):
    """A copy of a projection's tables. `suffix` is that of their names, nothing for the live ones.

    `behind` counts the events that are still to come, up to `COUNTED`; `behind_s` says since when the oldest of
    them waits, in seconds. `failed` tells the event at which it stands, and why.
    """

    suffix: str
    version: int
    state: str
    position: int
    behind: int
    behind_s: float
    applied: int
    stale: int
    skipped: int
    failed: Mapping[str, Any] | None
    pause: Mapping[str, Any] | None
    created: float


class ProjectionState(NamedTuple):
    """A projection: its live copy, and the one that is rebuilt beside it, if any.

    `worker` is the living worker that looks after it, or None. `declared` is its version in the plugins here, None
    where none declares it.
    """

    name: str
    live: CopyState
    rebuild: CopyState | None
    worker: str | None
    declared: int | None
    patterns: tuple[str, ...]
    tables: tuple[str, ...]


async def list_projections(
    database: Database,
    app: str,
    specs: Sequence[ProjectionSpec],
    now: float,
    liveness: Liveness | None = None,
) -> list[ProjectionState]:
    """All projections that workers of the application have looked after, by name.

    Who looks again and again keeps a `liveness` open, and gives it.
    """

    def work(connection: Connection) -> tuple[list[tuple[Checkpoint, projecting.Ahead]], dict[str, str | None]]:
        rows = projections.fetch(connection, app)
        found = [(row, projecting.ahead(connection, row.patterns, row.position)) for row in rows]
        return found, leases.holders(connection)

    rows, holders = await database.read(work)
    declared = {name: spec.version for name, spec in assign_projections(app, specs).items()}
    own = await Liveness.open(database, None) if liveness is None else None
    alive = (liveness or own).alive  # type: ignore[union-attr]
    try:
        known: dict[str, list[tuple[Checkpoint, projecting.Ahead]]] = {}
        for row, ahead in rows:
            known.setdefault(row.name, []).append((row, ahead))
        found = []
        for name, copies in known.items():
            owners = [holders.get(lease_name(name, row.version)) for row, _ in copies]
            living = [owner if owner is not None and alive(owner) else None for owner in owners]
            live, *others = [
                _copy(row, ahead, owner, declared.get(name), now)
                for (row, ahead), owner in zip(copies, living, strict=True)
            ]
            row = copies[0][0]
            found.append(
                ProjectionState(
                    name,
                    live,
                    others[0] if others else None,
                    living[0],
                    declared.get(name),
                    row.patterns,
                    row.tables,
                )
            )
    finally:
        if own is not None:
            await own.close()
    return found


def find(states: Sequence[ProjectionState], name: str, app: str) -> ProjectionState:
    """One by its name, with or without that of the application, or by its function's; raises `UsageError`."""
    matches = [each for each in states if name in (each.name, each.name.removeprefix(f"{app}."))]
    matches = matches or [each for each in states if each.name.rpartition(".")[2] == name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(
            f"several projections are called {name}",
            hint=f"There are {' and '.join(each.name for each in matches)}.",
        )
    known = [each.name for each in states]
    raise UsageError(
        f"there is no projection {name}",
        hint=nearest(name, known) or "`warren projections list` names them; a new one begins when a worker has it.",
    )


async def pause(database: Database, name: str, *, operator: Operator, why: str) -> bool:
    """Have a projection stand still; False if it did. Raises `ReadOnly`."""
    operator.allow("pause projections")
    who = operator.who

    def work(connection: Connection) -> bool:
        now = time.time()
        changed = projections.pause(connection, name, {"who": who, "why": why, "since": now}, now=now)
        if changed:
            audit.append(connection, audit.Entry(now, who, "projection pause", why, {"projection": name}, {}))
        return changed

    return await write(database, work)


async def resume(database: Database, name: str, *, operator: Operator, why: str) -> bool:
    """Have a projection go on: one that is paused, or that would wait until it tries a failed event again.

    False if it was neither. Raises `ReadOnly`.
    """
    operator.allow("resume projections")
    who = operator.who

    def work(connection: Connection) -> bool:
        now = time.time()
        changed = projections.resume(connection, name, now=now)
        if changed:
            audit.append(connection, audit.Entry(now, who, "projection resume", why, {"projection": name}, {}))
        return changed

    return await write(database, work)


async def skip(database: Database, name: str, *, suffix: str = "", event_id: str, operator: Operator, why: str) -> bool:
    """Leave out the event at which a copy stands, on the record; False if it stands there no longer.

    The log itself is never changed. Raises `ReadOnly`.
    """
    operator.allow("skip events of projections")
    who = operator.who

    def work(connection: Connection) -> bool:
        now = time.time()
        stands = projections.one(connection, name, suffix)
        if stands is None or stands.failed_event != event_id or not projections.skip(connection, stands, now=now):
            return False
        what = {"projection": name, "copy": suffix, **(_failed(stands) or {})}
        audit.append(connection, audit.Entry(now, who, "projection skip", why, what, {"skipped": 1}))
        return True

    return await write(database, work)


def as_dict(state: ProjectionState) -> dict[str, Any]:
    """A projection for programs: keys are stable, times in seconds."""
    return {
        **state._asdict(),
        "live": state.live._asdict(),
        "rebuild": None if state.rebuild is None else state.rebuild._asdict(),
    }


def _copy(row: Checkpoint, ahead: projecting.Ahead, owner: str | None, declared: int | None, now: float) -> CopyState:
    if row.state == PAUSED:
        state = PAUSED
    elif declared is not None and declared > row.version:
        state = OUTDATED
    elif row.failing:
        state = FAILING
    else:
        state = RUNNING if owner is not None else UNATTENDED
    return CopyState(
        row.suffix,
        row.version,
        state,
        row.position,
        ahead.events,
        0.0 if ahead.oldest is None else max(0.0, now - ahead.oldest),
        row.applied,
        row.stale,
        row.skipped,
        _failed(row),
        dict(row.pause) or None,
        row.created,
    )


def _failed(row: Checkpoint) -> dict[str, Any] | None:
    if not row.failing:
        return None
    return {
        "position": row.failed_position,
        "event_id": row.failed_event,
        "event_type": row.failed_type,
        "error": row.error,
        "attempts": row.attempts,
        "retry_at": row.retry_at,
    }
