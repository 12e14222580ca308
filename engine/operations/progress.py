"""Recorded operations as an operator sees them: which there are, how far they are, what became of each message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import UsageError
from engine.model.operation import ENDED, Item, ItemState, Operation, Options, Stage, State, default_options
from engine.storage import operations
from engine.storage.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "Item",
    "ItemState",
    "Operation",
    "Options",
    "Stage",
    "State",
    "Touch",
    "as_dict",
    "counts",
    "default_options",
    "find",
    "follow",
    "item_dict",
    "items",
    "list_operations",
    "moving",
    "one",
    "touching",
]

#: Seconds between two looks at an operation that is followed.
INTERVAL = 0.2


class Touch(NamedTuple):
    """An operation that had a failure, and what it did with it."""

    operation: Operation
    item: Item


async def list_operations(
    database: Database,
    app: str | None,
    *,
    kind: str | None = None,
    state: State | None = None,
    limit: int = 100,
    after: Operation | None = None,
) -> list[Operation]:
    """The operations of an application (None: of all), the newest first; `after` is the last of the page before."""
    return await database.read(
        lambda connection: operations.page(connection, app, kind=kind, state=state, limit=limit, after=after)
    )


async def one(database: Database, reference: str) -> Operation:
    """One operation, by its id or a beginning that only one has. Raises `UsageError`."""
    return await database.read(lambda connection: find(connection, reference))


def find(connection: Connection, reference: str) -> Operation:
    """As `one`, on a connection."""
    exact = operations.get(connection, reference)
    found = [exact] if exact is not None else operations.starting_with(connection, reference) if reference else []
    if not found:
        raise UsageError(f"there is no operation {reference}", hint="`warren operations list` shows their ids.")
    if len(found) > 1:
        raise UsageError(f"several operations begin with {reference}", hint="Type more of the id.")
    return found[0]


async def items(
    database: Database, operation: str, *, state: ItemState | None = None, limit: int = 100, after: int = 0
) -> list[Item]:
    """Messages of an operation in the order of sending; `after` is the last position of the page before."""
    return await database.read(
        lambda connection: operations.items(connection, operation, state=state, limit=limit, after=after)
    )


async def counts(database: Database, operation: str) -> dict[tuple[ItemState, str], int]:
    """How many messages of an operation there are of each state and verdict."""
    return await database.read(lambda connection: operations.counts(connection, operation))


async def touching(database: Database, failure_id: int) -> list[Touch]:
    """The redrives that had a failure, the newest first."""
    found = await database.read(lambda connection: operations.touching(connection, "redrive", failure_id))
    return [Touch(*each) for each in found]


async def follow(
    database: Database,
    operation: str,
    *,
    until_verified: bool = False,
    every: bool = False,
    interval: float = INTERVAL,
) -> AsyncIterator[Operation]:
    """The operation now and whenever it has changed (with `every`: at each look), until it has sent all or does not run.

    With `until_verified` it goes on until the operation has ended, or is stopped or paused.
    """
    seen: Operation | None = None
    while True:
        stands = await one(database, operation)
        if every or stands != seen:
            yield stands
        seen = stands
        if not moving(stands, until_verified=until_verified):
            return
        await asyncio.sleep(interval)


def moving(operation: Operation, *, until_verified: bool = False) -> bool:
    """Whether there is something to wait for: messages to be sent, or with `until_verified` outcomes."""
    if operation.state in ENDED or operation.state in (State.PAUSED, State.STOPPED):
        return False
    return until_verified or bool(operation.waiting) or operation.state is State.PREPARING


def as_dict(operation: Operation) -> dict[str, Any]:
    """An operation for programs: keys are stable, times in seconds since the epoch, `eta_s` in seconds."""
    options = operation.options
    return {
        "id": operation.id,
        "kind": operation.kind,
        "state": str(operation.state),
        "stage": str(operation.stage),
        "who": operation.who,
        "why": operation.why,
        "note": operation.note,
        "target": operation.target or None,
        "total": operation.total,
        "waiting": operation.waiting,
        "sent": operation.sent,
        "pending": operation.pending,
        "succeeded": operation.succeeded,
        "failed_again": operation.failed_again,
        "failed_otherwise": operation.failed_otherwise,
        "skipped": operation.skipped,
        "per_second": round(operation.pace, 2),
        "eta_s": None if operation.eta is None else round(operation.eta, 1),
        "options": options._asdict(),
        "asked": operation.asked,
        **({} if operation.cursor is None else {"offset": operation.cursor.next}),
        "owner": operation.owner,
        "created": operation.created,
        "started": operation.started,
        "ended": operation.ended,
        "changed": operation.changed,
    }


def item_dict(item: Item) -> dict[str, Any]:
    """One message of an operation for programs."""
    return {**item._asdict(), "state": str(item.state)}
