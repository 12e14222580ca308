"""When failures came: how many in each part of a while."""

from __future__ import annotations

from sqlalchemy import Connection, Integer, cast, func, select

from engine.storage import tables

_failures = tables.failures


def arrivals(connection: Connection, since: float, until: float, parts: int) -> list[int]:
    """How many dead letters came in each of so many equal parts of this time, whatever became of them."""
    width = (until - since) / parts
    exact = (_failures.c.arrived - since) / width
    part = cast(exact if connection.dialect.name == "sqlite" else func.floor(exact), Integer).label("part")
    inside = (_failures.c.arrived >= since, _failures.c.arrived < until)
    found = [0] * parts
    for number, count in connection.execute(select(part, func.count()).where(*inside).group_by("part")):
        found[min(number, parts - 1)] += count
    return found
