"""Failures as a redrive needs them: what decides about each, what is sent, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, case, exists, func, literal, select, tuple_

from engine.model.failure import Status
from engine.model.message import Message
from engine.model.operation import ItemState
from engine.model.record import State
from engine.storage import tables
from engine.storage.edits import EditState
from engine.storage.listed import within
from engine.storage.stored import build_message, load_properties

_edits = tables.edits
_failures = tables.failures
_messages = tables.failed_messages
_items = tables.operation_items
_records = tables.records

#: A copy of a message: its queue, its event id, the hash of its body.
Copy: TypeAlias = tuple[str, str, bytes]

_DECISIVE = ("id", "queue", "event_id", "run", "body_hash", "status")


class Failed(NamedTuple):
    """What of a failure decides about its redrive."""

    id: int
    queue: str
    event_id: str
    run: int
    body_hash: bytes
    status: Status


class Letter(NamedTuple):
    """A failure with its message; `exchange` and `routing_key` are those of its first publication."""

    failed: Failed
    exchange: str
    routing_key: str
    properties: str
    body: bytes

    def message(self) -> Message:
        """The message as it was published."""
        return build_message(self.body, load_properties(self.properties))


def candidates(connection: Connection, ids: Sequence[int]) -> dict[int, Failed]:
    """These failures by id; ids that are not there are left out."""
    rows = connection.execute(select(*(_failures.c[name] for name in _DECISIVE)).where(within(_failures.c.id, ids)))
    return {row.id: _failed(row) for row in rows}


def letters(connection: Connection, ids: Sequence[int]) -> dict[int, Letter]:
    """These failures with their messages, by id; ids that are not there are left out."""
    columns = [_failures.c[name] for name in (*_DECISIVE, "exchange", "routing_key")]
    rows = connection.execute(
        select(*columns, _messages.c.properties, _messages.c.body)
        .join_from(_failures, _messages, _messages.c.failure_id == _failures.c.id)
        .where(within(_failures.c.id, ids))
    )
    return {row[0]: Letter(_failed(row), *row[len(_DECISIVE) :]) for row in rows}


def outcomes(connection: Connection, operation: str, positions: Sequence[int]) -> dict[int, ItemState]:
    """What became of the messages at these positions, as far as it is known.

    One failed again when a later failure of the message is there; it succeeded when its record is done
    under the run of its redrive or a later one.
    """
    later = _failures.alias("later")
    again = (
        (later.c.queue == _failures.c.queue)
        & (later.c.event_id == _failures.c.event_id)
        & (later.c.run >= _items.c.run)
    )
    done = (
        (_records.c.queue == _failures.c.queue)
        & (_records.c.event_id == _failures.c.event_id)
        & (_records.c.state == str(State.DONE))
        & (_records.c.run >= _items.c.run)
    )
    same = again & (later.c.fingerprint == _failures.c.fingerprint)
    outcome = case(
        (exists().where(same), literal(str(ItemState.FAILED_AGAIN))),
        (exists().where(again), literal(str(ItemState.FAILED_OTHERWISE))),
        (exists().where(done), literal(str(ItemState.SUCCEEDED))),
        else_=None,
    )
    rows = connection.execute(
        select(_items.c.position, outcome.label("outcome"))
        .join_from(_items, _failures, _failures.c.id == _items.c.subject)
        .where(_items.c.operation == operation, within(_items.c.position, positions))
    )
    return {row.position: ItemState(row.outcome) for row in rows if row.outcome is not None}


def commonest(connection: Connection, operation: str) -> tuple[str, str, int] | None:
    """Exception and message that most of the messages that failed again failed with, and how many those are."""
    later = _failures.alias("later")
    failed = (str(ItemState.FAILED_AGAIN), str(ItemState.FAILED_OTHERWISE))
    row = connection.execute(
        select(later.c.fingerprint, func.count().label("number"), func.max(later.c.id).label("latest"))
        .select_from(_items)
        .join(_failures, _failures.c.id == _items.c.subject)
        .join(
            later,
            (later.c.queue == _failures.c.queue)
            & (later.c.event_id == _failures.c.event_id)
            & (later.c.run >= _items.c.run),
        )
        .where(_items.c.operation == operation, _items.c.state.in_(failed))
        .group_by(later.c.fingerprint)
        .order_by(func.count().desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    latest = connection.execute(
        select(_failures.c.exception, _failures.c.reason, _failures.c.message).where(_failures.c.id == row.latest)
    ).one()
    return latest.exception or latest.reason, latest.message, row.number


def edited_away(connection: Connection, copies: Sequence[Copy]) -> set[Copy]:
    """Those of these copies, each a queue, an event id and a body hash, in whose place an edited body was redriven."""
    key = tuple_(_failures.c.queue, _failures.c.event_id, _failures.c.body_hash)
    sent = exists().where(_edits.c.failure_id == _failures.c.id, _edits.c.state == str(EditState.SENT))
    columns = (_failures.c.queue, _failures.c.event_id, _failures.c.body_hash)
    rows = connection.execute(select(*columns).where(key.in_(copies), sent))
    return {(queue, event_id, bytes(body_hash)) for queue, event_id, body_hash in rows}


def _failed(row: Sequence[Any]) -> Failed:
    failure_id, queue, event_id, run, body_hash, status = row[: len(_DECISIVE)]
    return Failed(failure_id, queue, event_id, run, bytes(body_hash), Status(status))
