"""A trace as plain values. Times in seconds since the epoch, UTC."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, TypeAlias

from engine.model.failure import Outcome, Status


class EventState(StrEnum):
    """Where an event is on its way."""

    PUBLISHED = "published"
    #: Committed, and not published yet: it is in the outbox.
    PROMISED = "promised"
    DELAYED = "delayed"
    CANCELLED = "cancelled"
    #: Others name it, and the log does not have it.
    UNKNOWN = "unknown"


class HandlingState(StrEnum):
    """What became of an event in one queue."""

    #: No record yet: it waits in the queue.
    NOT_BEGUN = "not begun"
    RUNNING = "running"
    #: Another attempt is on its way: a retry, a redrive or a replay.
    WAITING = "waiting"
    DONE = "done"
    DEAD = "dead"
    #: No record any more, or none yet: the event is so old that nobody remembers.
    FORGOTTEN = "forgotten"
    #: The handler's records go by an idempotency key, so that of this event is not found.
    KEYED = "keyed"


class TracedEvent(NamedTuple):
    """An event. `type` is empty and `at` may be None where the log does not have it; `aggregate` is `order/42`."""

    event_id: str
    type: str
    position: int | None
    origin: str | None
    source: str
    aggregate: str
    at: float | None
    due: float | None
    state: EventState


class Handling(NamedTuple):
    """An event in a handler's queue. `due` is when the next attempt is, as far as it is known here."""

    event_id: str
    queue: str
    handler: str
    state: HandlingState
    run: int
    attempts: int
    began: float | None
    ended: float | None
    worker: str
    due: float | None


class TracedFailure(NamedTuple):
    """A failure of a handling."""

    id: int
    queue: str
    run: int
    reason: str
    exception: str
    message: str
    attempts: int
    at: float
    status: Status
    outcome: Outcome | None


class Act(NamedTuple):
    """What an operator did: a redrive, a replay or an edit. `outcome` is what came of it for this message."""

    kind: str
    operation: str | None
    who: str
    why: str
    at: float
    outcome: str


What: TypeAlias = TracedEvent | Handling | TracedFailure | Act


class Node(NamedTuple):
    """A place in the tree. `parent` is an index, `last` says that no sibling follows; `key` stays the same over time."""

    depth: int
    parent: int | None
    last: bool
    key: str
    what: What


class Trace(NamedTuple):
    """All that one correlation id led to, as a tree in the order in which one reads it.

    `handled` counts handlings that are done, `waiting` those that are not at their end and events that are not
    out yet. `truncated`: there is more than was read.
    """

    correlation_id: str
    nodes: tuple[Node, ...]
    began: float | None
    ended: float | None
    events: int
    handled: int
    open_failures: int
    waiting: int
    truncated: bool
