"""The size of the tables, and forgetting what ended long ago."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from engine.operations.writing import write
from engine.storage import audit, outbox, records, size
from engine.storage.database import Database

#: Records forgotten in one transaction.
GROUP = 1000


class State(NamedTuple):
    """Rows of each table, the size of the database in bytes, and what waits to be published."""

    rows: dict[str, int]
    size: int
    outbox: int
    outbox_oldest: float | None


async def look(database: Database) -> State:
    """Measure the database; changes nothing."""
    return State(
        await database.read(size.rows),
        await database.read(size.size_bytes),
        await database.read(outbox.pending),
        await database.read(outbox.oldest),
    )


async def prunable(database: Database, before: float) -> int:
    """How many records `prune` would forget."""
    return await database.read(lambda connection: size.prunable(connection, before))


async def prune(database: Database, before: float, *, who: str, advance: Callable[[int], None] = lambda _: None) -> int:
    """Forget the records of messages that were handled before this time; how many there were."""
    total = 0
    while pruned := await write(database, lambda connection: records.prune(connection, before, GROUP)):
        total += pruned
        advance(pruned)
    entry = audit.Entry(time.time(), who, "prune", "", {"before": before}, {"pruned": total})
    await write(database, lambda connection: audit.append(connection, entry))
    return total
