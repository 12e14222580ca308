"""Counts that triggers keep on SQLite: how many failures there are of each kind.

They answer for filters by what a kind consists of. On PostgreSQL nobody keeps them: intakes of many
workers would wait for each other's rows there, and its own counting is quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.sql import ColumnElement

from engine.model.failure import Status
from engine.model.filter import NAMES, Filter
from engine.storage import tables
from engine.storage.stored import plain

_counts = tables.failure_counts

#: The terms of a filter that they answer for.
TERMS = ("fingerprint", "status", "handler", "queue", "exception", "event_type")


def serves(connection: Connection, wanted: Filter) -> bool:
    """Whether the counts answer for this filter."""
    if connection.dialect.name != "sqlite":
        return False
    rest: dict[str, Any] = dict.fromkeys(TERMS)
    return not replace(wanted, **rest).narrows()


def total(connection: Connection, wanted: Filter) -> int:
    """How many failures match."""
    return connection.scalar(select(func.coalesce(func.sum(_counts.c.total), 0)).where(*conditions(wanted))) or 0


def by_group(connection: Connection, wanted: Filter) -> list[tuple[str, str, int]]:
    """Fingerprint, status and number of the failures that match."""
    columns = (_counts.c.fingerprint, _counts.c.status)
    rows = connection.execute(select(*columns, func.sum(_counts.c.total)).where(*conditions(wanted)).group_by(*columns))
    return [(row[0], row[1], row[2]) for row in rows]


def by_queue(connection: Connection, status: Status) -> dict[str, int]:
    """How many failures of a status each queue has that has any."""
    statement = select(_counts.c.queue, func.sum(_counts.c.total)).where(_counts.c.status == status.value)
    found = connection.execute(statement.group_by(_counts.c.queue))
    return {queue: number for queue, number in found if number}


def conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    """The terms of a filter as conditions on the counts."""
    for term in TERMS:
        value = getattr(wanted, term)
        if value is None:
            continue
        column, text = _counts.c[term], plain(str(value))
        if term in NAMES and text.endswith("*"):
            yield func.substr(column, 1, len(text) - 1) == text[:-1]
        else:
            yield column == text
