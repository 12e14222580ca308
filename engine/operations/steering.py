"""Pausing, resuming and cancelling a recorded operation, whoever performs it.

The wish is committed; the next group that is to be sent reads it in its own transaction. What was
sent before stays sent, and its outcomes are still looked for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.model.operation import Operation, Wish, steer
from engine.operations.operator import Operator
from engine.operations.progress import find
from engine.operations.writing import write
from engine.storage import operations
from engine.storage.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection


async def pause(database: Database, reference: str, *, operator: Operator, why: str = "") -> Operation:
    """Send nothing more until it is resumed. Raises `UsageError` when it does not run, and `ReadOnly`."""
    return await _steer(database, reference, Wish.PAUSE, operator, why)


async def resume(database: Database, reference: str, *, operator: Operator, why: str = "") -> Operation:
    """Go on where it was paused or stopped by itself; with new canaries where the last ones failed.

    Raises `UsageError` when it is neither paused nor stopped, and `ReadOnly`.
    """
    return await _steer(database, reference, Wish.RESUME, operator, why)


async def cancel(database: Database, reference: str, *, operator: Operator, why: str = "") -> Operation:
    """Send nothing more, ever. Raises `UsageError` when it has ended, and `ReadOnly`."""
    return await _steer(database, reference, Wish.CANCEL, operator, why)


async def _steer(database: Database, reference: str, wish: Wish, operator: Operator, why: str) -> Operation:
    operator.allow(f"{wish} an operation")

    def work(connection: Connection) -> Operation:
        now = time.time()
        before = operations.get(connection, find(connection, reference).id, lock=True)
        assert before is not None
        after = steer(before, wish, now)
        operations.put(connection, after)
        operations.note(connection, after, f"{after.kind} {wish}", who=operator.who, why=why, now=now)
        return after

    return await write(database, work)
