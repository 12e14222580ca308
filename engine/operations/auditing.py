"""The audit, read: who did what, when and why, and what came of it. Nothing here can change it."""

from __future__ import annotations

from functools import partial
from typing import Any

from engine.storage import audit
from engine.storage.audit import Entry
from engine.storage.database import Database

__all__ = ("Entry", "actions", "count", "entries", "entry_dict")


async def entries(
    database: Database,
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
    """Entries, the newest first: those below the id `before`, or the oldest above the id `after`.

    `action` and `who` are whole, or a beginning when they end with `*`; `text` is looked for in why and what.
    Times in seconds since the epoch.
    """
    return await database.read(
        partial(
            audit.list_entries,
            limit=limit, before=before, after=after, action=action, who=who, text=text, since=since, until=until,
        )
    )  # fmt: skip


async def count(
    database: Database,
    *,
    above: int | None = None,
    action: str | None = None,
    who: str | None = None,
    text: str | None = None,
    since: float | None = None,
    until: float | None = None,
) -> int:
    """How many entries match; those above an id only."""
    return await database.read(
        partial(audit.count, above=above, action=action, who=who, text=text, since=since, until=until)
    )


async def actions(database: Database) -> list[str]:
    """The actions that the audit knows, by name."""
    return await database.read(audit.actions)


def entry_dict(entry: Entry) -> dict[str, Any]:
    """An entry for programs: keys are stable."""
    return entry._asdict()
