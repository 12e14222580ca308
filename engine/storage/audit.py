"""The audit: who did what, when and why, and what came of it. Rows are only ever added."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select

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
    connection: Connection, *, limit: int = 100, before: int | None = None, action: str | None = None
) -> list[Entry]:
    """The newest entries; `before` continues below the id of the last one seen."""
    statement = select(_audit).order_by(_audit.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(_audit.c.id < before)
    if action is not None:
        statement = statement.where(_audit.c.action == action)
    return [
        Entry(row.at, row.who, row.action, row.why, json.loads(row.what), json.loads(row.outcome), row.id)
        for row in connection.execute(statement)
    ]
