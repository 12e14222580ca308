"""What is read for a trace, in one go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from engine.model.record import Record
from engine.storage import correlated, event_search, failure_search, records, workers
from engine.storage.correlated import Delay, Edited, Promised, Touched
from engine.storage.event_log import LoggedEvent
from engine.storage.event_search import EventFilter
from engine.storage.failure_search import Filter
from engine.storage.failures import FailureRow
from engine.storage.record_statements import Key
from engine.storage.workers import JOURNAL, DeclaredQueue

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Events, failures, and rows of the outbox that are read for one trace.
MOST_EVENTS, MOST_FAILURES, MOST_PROMISED = 2000, 1000, 1000
#: Records that are looked for whether or not their queue asks for the event; beyond that only where it does.
MOST_LOOKS = 50_000


class Facts(NamedTuple):
    """Rows that tell of one correlation id. `events` are in the order of the log.

    `keyed` are queues whose records go by an idempotency key; `exchanges` of queues that have one of their own.
    """

    correlation_id: str
    events: Sequence[LoggedEvent]
    failures: Sequence[FailureRow]
    records: dict[Key, Record]
    promised: Sequence[Promised]
    delays: dict[str, Delay]
    touched: Sequence[Touched]
    edits: Sequence[Edited]
    queues: dict[str, DeclaredQueue]
    keyed: frozenset[str]
    exchanges: dict[str, str]
    truncated: bool


def gather(connection: Connection, correlation_id: str) -> Facts:
    """Read all that is known of a correlation id."""
    events = _events(connection, correlation_id)
    failures = failure_search.search(connection, Filter(correlation_id=correlation_id), limit=MOST_FAILURES)
    promised = correlated.promised(connection, correlation_id, MOST_PROMISED)
    queues = {queue.queue: queue for queue in workers.list_queues(connection) if queue.handler != JOURNAL}
    failure_ids = [failure.id for failure in failures]
    touched = correlated.touched(connection, failure_ids, [event.position for event in events])
    ids = dict.fromkeys(
        [
            correlation_id,
            *(event.event_id for event in events),
            *(event.causation_id for event in events if event.causation_id),
            *(failure.event_id for failure in failures),
            *(row.event_id for row in promised),
        ]
    )
    known = [worker.info for worker in workers.list_workers(connection)]
    return Facts(
        correlation_id=correlation_id,
        events=events,
        failures=failures,
        records=_records(connection, list(ids), events, failures, touched, queues),
        promised=promised,
        delays=correlated.delays(connection, list(ids)),
        touched=touched,
        edits=correlated.edited(connection, failure_ids),
        queues=queues,
        keyed=frozenset(queue for info in known for queue in info.get("keyed", ())),
        exchanges={queue: name for info in known for queue, name in info.get("exchanges", {}).items()},
        truncated=len(events) == MOST_EVENTS or len(failures) == MOST_FAILURES or len(promised) == MOST_PROMISED,
    )


def _events(connection: Connection, correlation_id: str) -> list[LoggedEvent]:
    """The first events of the correlation; the first of all may be known by its id alone."""
    wanted = EventFilter(correlation_id=correlation_id)
    return event_search.first(connection, wanted, limit=MOST_EVENTS)


def _records(
    connection: Connection,
    ids: Sequence[str],
    events: Sequence[LoggedEvent],
    failures: Sequence[FailureRow],
    touched: Sequence[Touched],
    queues: dict[str, DeclaredQueue],
) -> dict[Key, Record]:
    sure = {(failure.queue, failure.event_id) for failure in failures}
    by_position = {event.position: event.event_id for event in events}
    sure |= {(each.target, by_position[each.subject]) for each in touched if each.kind == "replay"}
    if len(ids) * len(queues) <= MOST_LOOKS:
        sure |= {(queue, event_id) for queue in queues for event_id in ids}
    else:
        logged = {event.event_id: event.routing_key for event in events}
        sure |= {
            (name, event_id)
            for event_id in ids
            for name, queue in queues.items()
            if event_id not in logged or queue.wants(logged[event_id])
        }
    return records.fetch(connection, sorted(sure))
