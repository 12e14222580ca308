"""Schedules: up to which moment each is settled, so that a tick fires once in a fleet.

A lease chooses the worker that looks after a schedule. What makes a tick fire once is
`advance`: it moves `last` only from where the caller saw it, in the transaction that
writes the tick's event into the outbox.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select, update

from engine.storage import tables
from engine.storage.statements import upsert

_schedules = tables.schedules


class Schedule(NamedTuple):
    """One schedule. Times are seconds since the epoch, UTC.

    It is settled up to `last`; `fired` is the newest tick whose event was published, None before the
    first. `next` is the tick that comes then, as `worker` said, who changed this last.
    """

    name: str
    app: str
    spec: str
    timezone: str
    missed: str
    last: float
    next: float
    fired: float | None
    worker: str
    changed: float


def begin(connection: Connection, wanted: Schedule) -> Schedule:
    """Take a schedule over as it stands, or begin it: one that is new, or whose times have changed, owes no tick."""
    row = connection.execute(select(_schedules).where(_schedules.c.name == wanted.name).with_for_update()).one_or_none()
    known = None if row is None else Schedule(*row)
    if known is not None:
        wanted = wanted._replace(fired=known.fired)
        if (known.spec, known.timezone) == (wanted.spec, wanted.timezone):
            wanted = wanted._replace(last=known.last, next=known.next)
    upsert(connection, _schedules, [wanted._asdict()], key=["name"], change=Schedule._fields[1:])
    return wanted


def advance(
    connection: Connection, schedule: Schedule, *, last: float, next: float, fired: float | None, now: float
) -> bool:
    """Settle it up to `last`, as long as it stands as `schedule` says; False when another worker was faster.

    True also when this very step was written before, by a try whose COMMIT was of unknown fate.
    """
    mine = (_schedules.c.name == schedule.name) & (_schedules.c.worker == schedule.worker)
    values = {"last": last, "next": next, "fired": fired, "changed": now}
    if connection.execute(update(_schedules).where(mine, _schedules.c.last == schedule.last).values(values)).rowcount:
        return True
    return connection.scalar(select(_schedules.c.name).where(mine, _schedules.c.last == last)) is not None


def list_schedules(connection: Connection, app: str) -> list[Schedule]:
    """The schedules that workers of this application have looked after, by name."""
    rows = connection.execute(select(_schedules).where(_schedules.c.app == app).order_by(_schedules.c.name))
    return [Schedule(*row) for row in rows]
