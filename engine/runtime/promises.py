"""What a transaction promises to send: rows of the outbox, but for dead letters that are too large to travel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.model.outgoing import Kind, Outgoing
from engine.runtime import clock
from engine.runtime.unsendable import failure_of
from engine.storage import failures, outbox

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Bytes. A larger dead letter would be in memory several times on its way through outbox, broker and intake.
LARGEST_LETTER = 1024 * 1024


def travels(row: Outgoing) -> bool:
    """Whether the row is sent at all."""
    return row.kind is not Kind.DEAD or len(row.message.body) <= LARGEST_LETTER


def promise(connection: Connection, worker: str, rows: Sequence[Outgoing]) -> None:
    """In the transaction: put rows into the outbox; a large dead letter is a failure at once, whole.

    It may run again after a COMMIT of unknown fate.
    """
    large = [row for row in rows if not travels(row)]
    if large:
        now = clock.now()
        failures.add(connection, [failure_of(row, worker, now) for row in large])
        rows = [row for row in rows if travels(row)]
    if rows:
        outbox.add(connection, worker, rows)
