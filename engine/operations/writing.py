"""Writing on behalf of an operator, who wants an answer and not a patient wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from engine.errors import DatabaseUnavailable
from engine.storage.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")

#: Seconds after which a write that is still waiting is given up.
PATIENCE = 20.0


async def write(database: Database, work: Callable[[Connection], T], *, patience: float = PATIENCE) -> T:
    """As `Database.write`, but raises `DatabaseUnavailable` when it has waited for `patience` seconds."""
    try:
        async with asyncio.timeout(patience):
            return await database.write(work)
    except TimeoutError:
        trouble = database.writer.trouble
        if trouble is not None:
            raise trouble from None
        raise DatabaseUnavailable(
            f"the database {database.url} has not taken a write for {patience:g} seconds",
            hint="Another process may hold its lock: `fuser` or `lsof` name it. Then try again.",
        ) from None
