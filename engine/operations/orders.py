"""Ordering an operation: its items are frozen and written in chunks, and then it runs.

Whoever performs it needs nothing of the process that ordered it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import UsageError
from engine.model.operation import Cursor, Operation, Options, Stage, State, check_options
from engine.operations.operator import Operator
from engine.operations.writing import write
from engine.storage import operations
from engine.storage.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Items that are written in one transaction.
CHUNK = 2000

#: What an id is made of: nothing that is read as something else.
_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"
_BEGINNINGS = {"redrive": "rd", "replay": "rp", "stream-replay": "sr"}


class Order(NamedTuple):
    """An operation as it is ordered. `subjects` are ids of failures or positions of events, in the order of sending.

    `asked` is what its kind needs to know again, as JSON has it. With a `cursor` no subjects are written down: there are `total` of them.
    """

    id: str
    app: str
    kind: str
    asked: Mapping[str, Any]
    target: str
    subjects: Sequence[int]
    options: Options
    cursor: Cursor | None = None
    total: int = 0


def new_operation_id(kind: str) -> str:
    """An id that a person can type: `rd-4k7w2q9`."""
    return f"{_BEGINNINGS.get(kind, kind[:2])}-{''.join(secrets.choice(_LETTERS) for _ in range(7))}"


async def order(database: Database, wanted: Order, *, operator: Operator, why: str) -> Operation:
    """Record an operation; workers begin with it at once.

    Raises `ReadOnly`, `UsageError` for options that make no sense, for nothing to send, and for an order that
    was given before, and `DatabaseUnavailable`. An operation that was not wholly written never runs.
    """
    operator.allow(f"{wanted.kind} messages")
    check_options(wanted.options)
    total = wanted.total if wanted.cursor is not None else len(wanted.subjects)
    if not total:
        raise UsageError("there is nothing to send", hint="The plan says why the messages are left alone.")
    now = time.time()
    made = Operation(
        id=wanted.id,
        app=wanted.app,
        kind=wanted.kind,
        state=State.PREPARING,
        stage=Stage.CANARY if wanted.options.canary else Stage.SENDING,
        who=operator.who,
        why=why,
        asked=wanted.asked,
        options=wanted.options,
        target=wanted.target,
        total=total,
        created=now,
        changed=now,
        cursor=wanted.cursor,
    )
    if wanted.cursor is not None:
        return await write(database, partial(_write, made, total, ()))
    for start in range(0, made.total, CHUNK):
        chunk = wanted.subjects[start : start + CHUNK]
        made = await write(database, partial(_write, made, start + 1, chunk))
    return made


def _write(ordered: Operation, first: int, subjects: Sequence[int], connection: Connection) -> Operation:
    now = time.time()
    if first == 1 or ordered.cursor is not None:
        operations.add(connection, ordered)
    stands = operations.get(connection, ordered.id, lock=True)
    if stands is None or stands.created != ordered.created:
        raise UsageError(f"operation {ordered.id} was ordered before", hint="Make a new plan.")
    last = ordered.cursor is not None or first + len(subjects) > ordered.total
    if stands.state is not State.PREPARING:
        if last and stands.state is State.RUNNING:
            return stands  # it was committed before, and the answer lost
        raise UsageError(f"operation {ordered.id} was {stands.state} while it was written")
    operations.add_items(connection, ordered.id, first, subjects, now)
    stands = stands._replace(changed=now, state=State.RUNNING if last else State.PREPARING)
    operations.put(connection, stands)
    if last:
        operations.note(connection, stands, ordered.kind, who=ordered.who, why=ordered.why, now=now)
    return stands
