"""Traces: all that one correlation id led to, as far as log, records, outbox, failures and operations know it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.errors import UsageError
from engine.model.names import flaw
from engine.operations.masking import Masking, mask_row
from engine.operations.trace.facts import Facts, gather
from engine.operations.trace.lines import Line, date, lines
from engine.operations.trace.tree import build
from engine.operations.trace.values import (
    Act,
    EventState,
    Handling,
    HandlingState,
    Node,
    Trace,
    TracedEvent,
    TracedFailure,
)
from engine.runtime import clock
from engine.storage import correlated, records, workers
from engine.storage.correlated import Recent
from engine.storage.database import Database
from engine.storage.event_search import EventFilter

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "Act",
    "EventState",
    "Handling",
    "HandlingState",
    "Line",
    "Node",
    "Recent",
    "Trace",
    "TracedEvent",
    "TracedFailure",
    "Tracer",
    "as_dict",
    "date",
    "find",
    "lines",
    "recent",
    "trace",
]

#: Seconds after which a trace is built anew though nothing changed but the time.
AGED = 60.0

_KINDS = {TracedEvent: "event", Handling: "handling", TracedFailure: "failure", Act: "act"}


async def find(database: Database, reference: str) -> str:
    """The correlation id that is meant: by itself, by an event's id, or by the id of a failure (`17`, `#17`).

    Raises `UsageError` when nothing is known of it.
    """
    found = None if flaw(reference) else await database.read(partial(_find, reference))
    if found is None:
        raise UsageError(
            f"nothing is known of {reference!r}",
            hint="Name a correlation id, an event id, or the id of a failure. What was published outside of a"
            " transaction is in the log only where the setting journal asks for it.",
        )
    return found


async def trace(database: Database, reference: str, *, masking: Masking, now: float | None = None) -> Trace:
    """The trace that a reference leads to (see `find`), its secrets hidden. Raises `UsageError`."""
    return await Tracer().trace(database, reference, masking=masking, now=clock.now() if now is None else now)


class Tracer:
    """Traces the same again and again: the trace of facts that did not change is not built anew, and is the same object."""

    def __init__(self) -> None:
        self._facts: Facts | None = None
        self._built: tuple[Trace, float] | None = None

    async def trace(self, database: Database, reference: str, *, masking: Masking, now: float) -> Trace:
        """As `trace`."""
        facts = await database.read(partial(_gather, await find(database, reference)))
        return await asyncio.to_thread(self._build, facts, masking, now)

    def _build(self, facts: Facts, masking: Masking, now: float) -> Trace:
        if self._built is not None and facts == self._facts and now - self._built[1] < AGED:
            return self._built[0]
        found = build(facts._replace(failures=[mask_row(row, masking) for row in facts.failures]), now)
        self._facts, self._built = facts, (found, now)
        return found


async def recent(
    database: Database, *, limit: int = 50, before: int | None = None, wanted: EventFilter | None = None
) -> list[Recent]:
    """The correlations with the newest matching events; `before` is the position of the last one of the page before."""
    filtered = wanted or EventFilter()
    return await database.read(
        lambda connection: correlated.recent(connection, filtered, limit=limit, before=before)
    )  # fmt: skip


def as_dict(found: Trace) -> dict[str, Any]:
    """A trace for programs: keys are stable, and the tree is a list in which each node names its parent's index."""
    nodes = [
        {"kind": _KINDS[type(node.what)], "depth": node.depth, "parent": node.parent, **_told(node)}
        for node in found.nodes
    ]
    return {**found._asdict(), "nodes": nodes}


def _told(node: Node) -> dict[str, Any]:
    said = node.what._asdict()
    return {"act" if name == "kind" else name: value for name, value in said.items()}


def _gather(correlation_id: str, connection: Connection) -> Facts:
    return gather(connection, correlation_id)


def _find(reference: str, connection: Connection) -> str | None:
    found = correlated.correlation_of(connection, reference)
    if found is not None:
        return found
    queues = [queue.queue for queue in workers.list_queues(connection)]
    known = (
        records.fetch(connection, [(queue, reference) for queue in queues])
        or correlated.delays(connection, [reference])
        or correlated.promised(connection, reference, 1)
    )
    return reference if known else None
