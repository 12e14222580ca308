"""The audit: who did what, when and why, and what came of it. Rows are only ever added."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, or_, select
from sqlalchemy.sql import ColumnElement

from engine.storage import tables
from engine.storage.stored import plain

_audit = tables.audit


class Entry(NamedTuple):
    """One act. `what` and `outcome` are JSON values; `at` is in seconds since the epoch."""

    at: float
    who: str
    action: str
    why: str
    what: Mapping[str, Any]
    outcome: Mapping[str, Any]
    id: int | None = None


def append(connection: Connection, entry: Entry) -> int:
    """Write an entry, and return its id."""
    values = {
        "at": entry.at,
        "who": plain(entry.who),
        "action": plain(entry.action),
        "why": plain(entry.why),
        "what": json.dumps(entry.what),
        "outcome": json.dumps(entry.outcome),
    }
    key = connection.execute(insert(_audit).values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def list_entries(
    connection: Connection,
    *,
    limit: int = 100,
    before: int | None = None,
    after: int | None = None,
    action: str | None = None,
    who: str | None = None,
    text: str | None = None,
    since: float | None = None,
    until: float | None = None,
) -> list[Entry]:
    """The newest entries; `before` continues below an id, `after` are the oldest above one.

    `action` and `who` are whole, or a beginning when they end with `*`. Times in seconds since the epoch.
    """
    statement = select(_audit).where(*_conditions(action, who, text, since, until)).limit(limit)
    if before is not None:
        statement = statement.where(_audit.c.id < before)
    if after is not None:
        statement = statement.where(_audit.c.id > after)
    order = _audit.c.id.desc() if after is None else _audit.c.id
    found = [
        Entry(row.at, row.who, row.action, row.why, json.loads(row.what), json.loads(row.outcome), row.id)
        for row in connection.execute(statement.order_by(order))
    ]
    return found if after is None else found[::-1]


def count(
    connection: Connection,
    *,
    above: int | None = None,
    action: str | None = None,
    who: str | None = None,
    text: str | None = None,
    since: float | None = None,
    until: float | None = None,
) -> int:
    """How many entries match; only those above an id."""
    statement = select(func.count()).select_from(_audit).where(*_conditions(action, who, text, since, until))
    if above is not None:
        statement = statement.where(_audit.c.id > above)
    return connection.scalar(statement) or 0


def actions(connection: Connection) -> list[str]:
    """The actions there are, by name."""
    return list(connection.scalars(select(_audit.c.action).distinct().order_by(_audit.c.action)))


def _conditions(
    action: str | None, who: str | None, text: str | None, since: float | None, until: float | None
) -> Iterator[ColumnElement[bool]]:
    for column, value in ((_audit.c.action, action), (_audit.c.who, who)):
        if value is not None and value.endswith("*"):
            yield func.substr(column, 1, len(value) - 1) == plain(value[:-1])
        elif value is not None:
            yield column == plain(value)
    if text:
        sought = plain(text)
        yield or_(*(column.icontains(sought, autoescape=True) for column in (_audit.c.why, _audit.c.what)))
    if since is not None:
        yield _audit.c.at >= since
    if until is not None:
        yield _audit.c.at < until
