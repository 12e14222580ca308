"""Delayed messages that can be cancelled: one row each, whose state changes once.

    waiting ──cancel──▶ cancelled        whoever comes first decides; the row is the
       └──forwarder──▶ sent              only judge, so both can never be true

The row is committed before the message goes to the broker, and the forwarder asks for it
right before the message goes to its target.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from sqlalchemy import Connection, and_, delete, or_, select, update

from engine.storage import tables
from engine.storage.statements import run_many

_delayed = tables.delayed

#: Seconds for which it is known that a message was sent: a second copy of it changes nothing then.
KEEP_SENT = 86_400.0
#: Seconds past the due time for which a message may still wait on the broker, or stay cancelled.
KEEP_OPEN = 90 * 86_400.0

_CHUNK = 1000
_INSERT = "INSERT INTO warren_delayed (event_id, state, due, changed) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"


class Fate(StrEnum):
    """What was decided about a delayed message."""

    WAITING = "waiting"
    SENT = "sent"
    CANCELLED = "cancelled"


def add(connection: Connection, due: Mapping[str, float], now: float) -> None:
    """Write that these events wait, by id with their due times. What was decided about one stays."""
    run_many(connection, _INSERT, [(event_id, Fate.WAITING.value, due[event_id], now) for event_id in sorted(due)])


def cancel(connection: Connection, event_id: str, now: float) -> bool:
    """Cancel an event; True if it is now certain that it is never sent, False where that is not known."""
    _decide(connection, [event_id], Fate.CANCELLED, now)
    fate = connection.scalar(select(_delayed.c.state).where(_delayed.c.event_id == event_id))
    return fate == Fate.CANCELLED


def send(connection: Connection, event_ids: Iterable[str], now: float) -> dict[str, Fate]:
    """Decide that these are sent, unless they were cancelled; what is decided now about each that is known."""
    ids = sorted(set(event_ids))
    found: dict[str, Fate] = {}
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        _decide(connection, chunk, Fate.SENT, now)
        rows = connection.execute(
            select(_delayed.c.event_id, _delayed.c.state).where(_delayed.c.event_id.in_(chunk))
        ).all()
        found.update((row.event_id, Fate(row.state)) for row in rows)
    return found


def cancelled(connection: Connection, event_ids: Sequence[str]) -> list[str]:
    """Those of these events that were cancelled."""
    return [
        event_id
        for start in range(0, len(event_ids), _CHUNK)
        for event_id in connection.scalars(
            select(_delayed.c.event_id).where(
                _delayed.c.event_id.in_(event_ids[start : start + _CHUNK]), _delayed.c.state == Fate.CANCELLED.value
            )
        )
    ]


def prune(connection: Connection, now: float) -> int:
    """Forget what was decided long ago; how many rows."""
    sent_long_ago = and_(_delayed.c.state == Fate.SENT.value, _delayed.c.changed < now - KEEP_SENT)
    return connection.execute(
        delete(_delayed).where(_delayed.c.due < now, or_(sent_long_ago, _delayed.c.due < now - KEEP_OPEN))
    ).rowcount


def _decide(connection: Connection, ids: Sequence[str], fate: Fate, now: float) -> None:
    """Rows are locked in the order of their keys, so that two who decide never wait in a circle."""
    if connection.dialect.name == "postgresql" and len(ids) > 1:
        connection.execute(
            select(_delayed.c.event_id)
            .where(_delayed.c.event_id.in_(ids))
            .order_by(_delayed.c.event_id)
            .with_for_update()
        )
    connection.execute(
        update(_delayed)
        .where(_delayed.c.event_id.in_(ids), _delayed.c.state == Fate.WAITING.value)
        .values(state=fate.value, changed=now)
    )
