"""How far projections have come in the log: a row for each copy, the live one and one that is rebuilt.

The row moves in the transaction of what the projection writes, from where that began: so each event has its effect
once, whoever runs it, and a crash between reading and committing costs nothing but the reading.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, delete, select, update

from engine.storage import projection_tables
from engine.storage.statements import conflict_insert
from engine.storage.stored import plain

_rows = projection_tables.projections
_versions = projection_tables.versions

RUNNING = "running"
PAUSED = "paused"

#: Characters of an error that are kept.
LONGEST_ERROR = 2000


class Checkpoint(NamedTuple):
    """One copy of a projection. Times are seconds since the epoch; `pause` says who paused it, when and why."""

    name: str
    suffix: str
    app: str
    version: int
    state: str
    position: int
    patterns: tuple[str, ...]
    tables: tuple[str, ...]
    applied: int
    stale: int
    skipped: int
    pause: Mapping[str, Any]
    failed_position: int | None
    failed_event: str
    failed_type: str
    error: str
    attempts: int
    retry_at: float
    created: float
    changed: float

    @property
    def failing(self) -> bool:
        """Whether it stands at an event that fails."""
        return self.failed_position is not None


class Failed(NamedTuple):
    """The event at which a projection stands, and why."""

    position: int
    event_id: str
    event_type: str
    error: str


def new(
    name: str, app: str, *, version: int, patterns: Sequence[str], tables: Sequence[str], now: float, suffix: str = ""
) -> Checkpoint:
    """A copy at the beginning of the log."""
    return Checkpoint(
        name,
        suffix,
        app,
        version,
        RUNNING,
        0,
        tuple(patterns),
        tuple(tables),
        0,
        0,
        0,
        {},
        None,
        "",
        "",
        "",
        0,
        0.0,
        now,
        now,
    )


def begin(connection: Connection, wanted: Checkpoint) -> Checkpoint:
    """The copy as it stands, or this one where there is none."""
    values = wanted._asdict()
    for name in ("patterns", "tables", "pause"):
        values[name] = json.dumps(values[name])
    connection.execute(conflict_insert(connection, _rows).values(values).on_conflict_do_nothing())
    found = one(connection, wanted.name, wanted.suffix)
    assert found is not None
    if found.version == wanted.version and (found.patterns, found.tables) != (wanted.patterns, wanted.tables):
        told = {"patterns": values["patterns"], "tables": values["tables"]}
        connection.execute(update(_rows).where(*_copy(wanted.name, wanted.suffix)).values(told))
    return found


def fetch(connection: Connection, app: str) -> list[Checkpoint]:
    """All copies of the projections of an application, by name; the live one first."""
    rows = connection.execute(select(_rows).where(_rows.c.app == app).order_by(_rows.c.name, _rows.c.suffix))
    return [to_checkpoint(row) for row in rows]


def one(connection: Connection, name: str, suffix: str = "") -> Checkpoint | None:
    """One copy; on PostgreSQL it stands still until the transaction ends."""
    row = connection.execute(locking(name, suffix)).one_or_none()
    return None if row is None else to_checkpoint(row)


def copies(connection: Connection, name: str) -> list[Checkpoint]:
    """All copies of a projection, locked, the live one first."""
    rows = connection.execute(select(_rows).where(_rows.c.name == name).order_by(_rows.c.suffix).with_for_update())
    return [to_checkpoint(row) for row in rows]


def locking(name: str, suffix: str) -> Select[Any]:
    """A statement for the row of a copy, which it locks: whoever writes for the projection begins with it."""
    return select(_rows).where(*_copy(name, suffix)).with_for_update()


def to_checkpoint(row: Row[Any]) -> Checkpoint:
    """A row of the table."""
    values = row._asdict()
    values["patterns"], values["tables"] = tuple(json.loads(row.patterns)), tuple(json.loads(row.tables))
    values["pause"] = json.loads(row.pause)
    return Checkpoint(**values)


def advance(connection: Connection, stands: Checkpoint, position: int, *, applied: int, stale: int, now: float) -> bool:
    """Move it on to a position, if it still stands where `stands` says; it fails no longer."""
    values: dict[Any, Any] = {
        "position": position,
        "applied": _rows.c.applied + applied,
        "stale": _rows.c.stale + stale,
        "changed": now,
        **_FINE,
    }
    return bool(connection.execute(update(_rows).where(*_standing(stands)).values(values)).rowcount)


def fail(connection: Connection, stands: Checkpoint, failed: Failed, *, retry_at: float, now: float) -> bool:
    """Write down the event at which it stands; False when it has moved meanwhile."""
    values: dict[Any, Any] = {
        "failed_position": failed.position,
        "failed_event": plain(failed.event_id),
        "failed_type": plain(failed.event_type),
        "error": plain(failed.error[:LONGEST_ERROR]),
        "attempts": _rows.c.attempts + 1,
        "retry_at": retry_at,
        "changed": now,
    }
    return bool(connection.execute(update(_rows).where(*_standing(stands)).values(values)).rowcount)


def pause(connection: Connection, name: str, note: Mapping[str, Any], *, now: float) -> bool:
    """Pause all copies; False where all were paused already."""
    values = {"state": PAUSED, "pause": json.dumps(note), "changed": now}
    return bool(
        connection.execute(update(_rows).where(_rows.c.name == name, _rows.c.state != PAUSED).values(values)).rowcount
    )


def resume(connection: Connection, name: str, *, now: float) -> bool:
    """Have all copies go on, those that fail at once; False where none was paused or failed."""
    values = {"state": RUNNING, "pause": "{}", "retry_at": 0.0, "changed": now}
    held = (_rows.c.state == PAUSED) | _rows.c.failed_position.is_not(None)
    return bool(connection.execute(update(_rows).where(_rows.c.name == name, held).values(values)).rowcount)


def skip(connection: Connection, stands: Checkpoint, *, now: float) -> bool:
    """Leave out the event at which it stands; False when it has moved meanwhile."""
    values: dict[Any, Any] = {
        "position": stands.failed_position,
        "skipped": _rows.c.skipped + 1,
        "changed": now,
        **_FINE,
    }
    where = (*_standing(stands), _rows.c.failed_position == stands.failed_position)
    return bool(connection.execute(update(_rows).where(*where).values(values)).rowcount)


def forget(connection: Connection, name: str, suffix: str) -> None:
    """Delete the row of a copy, and the versions it has seen."""
    connection.execute(delete(_rows).where(*_copy(name, suffix)))
    connection.execute(delete(_versions).where(_versions.c.projection == name, _versions.c.suffix == suffix))


def take_place(connection: Connection, name: str, suffix: str, *, now: float) -> None:
    """The copy is the live one from now on, and the live one is forgotten."""
    forget(connection, name, "")
    connection.execute(update(_rows).where(*_copy(name, suffix)).values(suffix="", changed=now))
    connection.execute(
        update(_versions).where(_versions.c.projection == name, _versions.c.suffix == suffix).values(suffix="")
    )


#: The columns of one that does not fail.
_FINE: dict[Any, Any] = {
    "failed_position": None,
    "failed_event": "",
    "failed_type": "",
    "error": "",
    "attempts": 0,
    "retry_at": 0.0,
}


def _copy(name: str, suffix: str) -> tuple[Any, ...]:
    return (_rows.c.name == name, _rows.c.suffix == suffix)


def _standing(stands: Checkpoint) -> tuple[Any, ...]:
    # `created` tells this copy from one that took its place.
    return (
        *_copy(stands.name, stands.suffix),
        _rows.c.position == stands.position,
        _rows.c.version == stands.version,
        _rows.c.created == stands.created,
    )
