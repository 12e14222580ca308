"""Events of the log as a replay needs them: what decides about each, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, case, exists, func, literal, select

from engine.model.operation import ItemState
from engine.model.record import State
from engine.storage import tables
from engine.storage.listed import within

_events = tables.events
_failures = tables.failures
_items = tables.operation_items
_operations = tables.operations
_records = tables.records


class Candidate(NamedTuple):
    """What of an event decides about its replay."""

    position: int
    event_id: str
    event_type: str
    routing_key: str


def candidates(connection: Connection, positions: Sequence[int]) -> list[Candidate]:
    """These events by position; what is not there is left out."""
    columns = (_events.c.position, _events.c.event_id, _events.c.event_type, _events.c.routing_key)
    rows = connection.execute(
        select(*columns).where(within(_events.c.position, positions)).order_by(_events.c.position)
    )  # fmt: skip
    return [Candidate(position, event_id, kind, key or kind) for position, event_id, kind, key in rows]


def bodies(connection: Connection, positions: Sequence[int]) -> dict[int, bytes]:
    """The bodies of these events, by position."""
    rows = connection.execute(select(_events.c.position, _events.c.body).where(within(_events.c.position, positions)))
    return {position: bytes(body) for position, body in rows}


def outcomes(
    connection: Connection, operation: str, positions: Sequence[int], *, streamed: bool = False
) -> dict[int, ItemState]:
    """What became of the items at these positions of an operation, as far as it is known; `streamed`: they have their events' ids.

    One succeeded when its record is done under the run that sent it or a later one. It failed when there
    is a failure of such a run; again, when an earlier one had the same fingerprint.
    """
    later, earlier = _failures.alias("later"), _failures.alias("earlier")
    event_id = _items.c.event_id if streamed else _events.c.event_id
    same = (later.c.queue == _operations.c.target) & (later.c.event_id == event_id)
    failed = same & (later.c.run >= _items.c.run)
    before = (
        (earlier.c.queue == later.c.queue)
        & (earlier.c.event_id == later.c.event_id)
        & (earlier.c.run < _items.c.run)
        & (earlier.c.fingerprint == later.c.fingerprint)
    )
    done = (
        (_records.c.queue == _operations.c.target)
        & (_records.c.event_id == event_id)
        & (_records.c.state == str(State.DONE))
        & (_records.c.run >= _items.c.run)
    )
    outcome = case(
        (exists().where(failed & exists().where(before)), literal(str(ItemState.FAILED_AGAIN))),
        (exists().where(failed), literal(str(ItemState.FAILED_OTHERWISE))),
        (exists().where(done), literal(str(ItemState.SUCCEEDED))),
        else_=None,
    )
    statement = select(_items.c.position, outcome.label("outcome")).join_from(
        _items, _operations, _operations.c.id == _items.c.operation
    )
    if not streamed:
        statement = statement.join(_events, _events.c.position == _items.c.subject)
    rows = connection.execute(statement.where(_items.c.operation == operation, within(_items.c.position, positions)))
    return {row.position: ItemState(row.outcome) for row in rows if row.outcome is not None}


def commonest(connection: Connection, operation: str, *, streamed: bool = False) -> tuple[str, str, int] | None:
    """Exception and message that most of the events that failed failed with, and how many those are."""
    failed = (str(ItemState.FAILED_AGAIN), str(ItemState.FAILED_OTHERWISE))
    event_id = _items.c.event_id if streamed else _events.c.event_id
    statement = (
        select(_failures.c.fingerprint, func.count().label("number"), func.max(_failures.c.id).label("latest"))
        .select_from(_items)
        .join(_operations, _operations.c.id == _items.c.operation)
    )
    if not streamed:
        statement = statement.join(_events, _events.c.position == _items.c.subject)
    row = connection.execute(
        statement.join(
            _failures,
            (_failures.c.queue == _operations.c.target)
            & (_failures.c.event_id == event_id)
            & (_failures.c.run >= _items.c.run),
        )
        .where(_items.c.operation == operation, _items.c.state.in_(failed))
        .group_by(_failures.c.fingerprint)
        .order_by(func.count().desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    columns = (_failures.c.exception, _failures.c.reason, _failures.c.message)
    latest = connection.execute(select(*columns).where(_failures.c.id == row.latest)).one()
    return latest.exception or latest.reason, latest.message, row.number
