"""What to tell a caller whose write the database has not taken in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import DatabaseError, DatabaseUnavailable

if TYPE_CHECKING:
    from engine.storage.database import Database


def silent(database: Database, seconds: float) -> DatabaseError:
    """The error: what is known to keep the database from writing, else only that it does not."""
    return database.writer.trouble or DatabaseUnavailable(
        f"the database {database.url} has not taken a write for {seconds:g} seconds",
        hint="Another process may hold its lock: `fuser` or `lsof` name it. It may still be written: look, then try again.",
    )
