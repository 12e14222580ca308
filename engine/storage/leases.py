"""Leases: a piece of work that one worker does for all, until it stops or is dead.

A lease has no time-out, since a clock proves nothing: it ends when its owner gives it
back or is known to be dead. Its token grows with each owner; whatever is written under a
lease checks the token in the same transaction (`check`).
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, select, update

from engine.storage import tables
from engine.storage.statements import upsert

_leases = tables.leases


def take(connection: Connection, name: str, owner: str, alive: Callable[[str], bool], *, now: float) -> int | None:
    """Take a lease, or keep it: its token, or None while another living worker has it.

    `alive` is called in the writer's thread.
    """
    upsert(connection, _leases, [{"name": name, "owner": None, "token": 0, "taken": now}], key=["name"], change=[])
    row = connection.execute(
        select(_leases.c.owner, _leases.c.token).where(_leases.c.name == name).with_for_update()
    ).one()
    if row.owner == owner:
        return int(row.token)
    if row.owner is not None and alive(row.owner):
        return None
    token = int(row.token) + 1
    connection.execute(update(_leases).where(_leases.c.name == name).values(owner=owner, token=token, taken=now))
    return token


def check(connection: Connection, name: str, token: int) -> bool:
    """Whether the lease still has this token; on PostgreSQL nobody can take it before the transaction ends."""
    held = select(_leases.c.token).where(_leases.c.name == name, _leases.c.owner.is_not(None))
    return connection.scalar(held.with_for_update(read=True)) == token


def release(connection: Connection, owner: str, name: str | None = None) -> None:
    """Give a lease back, or all that this owner has."""
    statement = update(_leases).where(_leases.c.owner == owner)
    if name is not None:
        statement = statement.where(_leases.c.name == name)
    connection.execute(statement.values(owner=None))


def holders(connection: Connection) -> dict[str, str | None]:
    """Who has which lease."""
    rows = connection.execute(select(_leases.c.name, _leases.c.owner).order_by(_leases.c.name))
    return {row.name: row.owner for row in rows}
