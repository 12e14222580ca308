"""The size of the tables, and forgetting what ended long ago."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from engine.operations.operator import Operator
from engine.operations.writing import write
from engine.storage import audit, outbox, pruning, size
from engine.storage.database import Database
from engine.storage.pruning import Slice
from engine.storage.record_statements import Key
from engine.storage.schema import Standing

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Records looked at in one read, and forgotten in one transaction.
SLICE, GROUP = 2000, 250


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


async def upgrade(url: str, *, operator: Operator) -> Standing:
    """Bring the database at this URL up to date, and say where it stands. Raises `ReadOnly` and `DatabaseError`."""
    operator.allow("migrate the database")
    database = await Database.open(url, migrate=True)
    await database.close()
    return await Database.standing(url)


async def prunable(database: Database, before: float) -> int:
    """How many records `prune` would forget."""
    return sum([len(found.old) async for found in _walk(database, before)])


async def _walk(database: Database, before: float) -> AsyncIterator[Slice]:
    """The records of all queues that ended before this time, as the housekeeping of the workers finds them."""
    after: Key | None = ("", "")
    while after is not None:
        found = await database.read(partial(_look, after, before))
        yield found
        after = found.next


def _look(after: Key, before: float, connection: Connection) -> Slice:
    return pruning.look(connection, after, None, before, SLICE)


def _forget(old: Sequence[tuple[str, str, str]], before: float, connection: Connection) -> int:
    return pruning.forget(connection, old, before)


async def prune(
    database: Database, before: float, *, operator: Operator, advance: Callable[[int], None] = lambda _: None
) -> int:
    """Forget the records of messages that ended before this time; how many there were. Raises `ReadOnly`.

    A dead one stays as long as its failure is open or on its way back: a redrive goes by it.
    """
    operator.allow("prune records")
    total = 0
    async for found in _walk(database, before):
        for start in range(0, len(found.old), GROUP):
            pruned = await write(database, partial(_forget, found.old[start : start + GROUP], before))
            total += pruned
            advance(pruned)
    entry = audit.Entry(time.time(), operator.who, "prune", "", {"before": before}, {"pruned": total})
    await write(database, lambda connection: audit.append(connection, entry))
    return total
