"""Edited bodies: what an operator made of a failed message, until its redrive sends it.

A failure has at most one edit that is pending. Another edit replaces it, a redrive sends it, or it is
reverted; every one stays in the table with both bodies, the difference, who and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, insert, literal_column, select, update

from engine.storage import tables
from engine.storage.listed import within
from engine.storage.stored import plain

_edits = tables.edits
_PENDING = _edits.c.state == literal_column("'pending'")  # as in the condition of its index


class EditState(StrEnum):
    """What became of an edit."""

    PENDING = "pending"
    #: A newer edit of the failure took its place.
    REPLACED = "replaced"
    REVERTED = "reverted"
    SENT = "sent"


class Edit(NamedTuple):
    """An edit. `diff` is the difference as JSON; `operation` is the redrive that sent it; times in seconds."""

    id: int
    failure_id: int
    operation: str | None
    at: float
    who: str
    why: str
    original: bytes
    edited: bytes
    diff: str
    state: EditState
    changed: float


class NewEdit(NamedTuple):
    """An edit to be written."""

    failure_id: int
    original: bytes
    edited: bytes
    diff: str


def pending(connection: Connection, failure_ids: Sequence[int]) -> dict[int, Edit]:
    """The edits of these failures that wait to be sent, by failure."""
    rows = connection.execute(select(_edits).where(within(_edits.c.failure_id, failure_ids), _PENDING))
    return {row.failure_id: _edit(row) for row in rows}


def add(connection: Connection, new: NewEdit, *, who: str, why: str, now: float) -> Edit:
    """Write an edit as the pending one; one that was pending is replaced."""
    end(connection, [new.failure_id], EditState.REPLACED, now=now)
    values = {
        **new._asdict(),
        "operation": None,
        "at": now,
        "who": plain(who),
        "why": plain(why),
        "diff": plain(new.diff),
        "state": str(EditState.PENDING),
        "changed": now,
    }
    key = connection.execute(insert(_edits).values(values)).inserted_primary_key
    assert key is not None
    found = connection.execute(select(_edits).where(_edits.c.id == key[0])).one()
    return _edit(found)


def end(connection: Connection, failure_ids: Sequence[int], state: EditState, *, now: float) -> int:
    """Settle the pending edits of these failures; how many there were."""
    statement = update(_edits).where(within(_edits.c.failure_id, failure_ids), _PENDING)
    return connection.execute(statement.values(state=str(state), changed=now)).rowcount


def mark_sent(connection: Connection, edit_ids: Sequence[int], operation: str, now: float) -> None:
    """Note that a redrive sends these edits, in the transaction in which it does."""
    statement = update(_edits).where(within(_edits.c.id, edit_ids))
    connection.execute(statement.values(state=str(EditState.SENT), operation=operation, changed=now))


def history(connection: Connection, failure_id: int) -> list[Edit]:
    """All edits of a failure, the newest first."""
    rows = connection.execute(select(_edits).where(_edits.c.failure_id == failure_id).order_by(_edits.c.id.desc()))
    return [_edit(row) for row in rows]


def remove(connection: Connection, failure_ids: Sequence[int]) -> None:
    """Delete the edits of failures that are deleted, for they hold the payload."""
    connection.execute(delete(_edits).where(within(_edits.c.failure_id, failure_ids)))


def _edit(row: Row[Any]) -> Edit:
    values = dict(zip(row._fields, row, strict=True))
    values |= {
        "original": bytes(values["original"]),
        "edited": bytes(values["edited"]),
        "state": EditState(values["state"]),
    }
    return Edit(**values)
