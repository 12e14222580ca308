"""What `warren audit` prints."""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

from engine.cli.call import Call
from engine.cli.output import Column
from engine.cli.views.failures import moment
from engine.operations import auditing
from engine.operations.auditing import Entry

#: Ids of failures that a line names; more are counted.
NAMED = 8

AUDIT = (
    Column("at", "WHEN", show=moment),
    Column("who", "WHO"),
    Column("action", "ACTION"),
    Column("what", "WHAT"),
    Column("outcome", "OUTCOME"),
    Column("why", "WHY"),
)


class Wanted(NamedTuple):
    """Which entries; ages in seconds."""

    action: str | None
    who: str | None
    text: str | None
    older_than: float | None
    newer_than: float | None
    limit: int


async def show_audit(call: Call, wanted: Wanted) -> None:
    """List the newest entries."""
    now = time.time()
    async with call.database() as database:
        found = await auditing.entries(
            database,
            limit=wanted.limit,
            action=wanted.action,
            who=wanted.who,
            text=wanted.text,
            since=None if wanted.newer_than is None else now - wanted.newer_than,
            until=None if wanted.older_than is None else now - wanted.older_than,
        )
    rows = [auditing.entry_dict(entry) if call.output.as_json else _line(entry) for entry in found]
    call.output.items(rows, AUDIT, "The audit has no such entries.")


def _line(entry: Entry) -> dict[str, Any]:
    return {**entry._asdict(), "what": _said(entry.what), "outcome": _said(entry.outcome)}


def _said(values: Any) -> str:
    return ", ".join(f"{name}: {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    if isinstance(value, list):
        shown = " ".join(map(str, value[:NAMED]))
        return shown if len(value) <= NAMED else f"{shown} … ({len(value):,})"
    return value if isinstance(value, str) else json.dumps(value)
