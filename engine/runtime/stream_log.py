"""The journal's stream as a log: its entries read as events, and those that a filter means.

What an entry is called by is its offset. RabbitMQ does not tell when an entry was written, so of times only the one that
the event names of itself is shown.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from engine.brokers.base import Broker, Entry, Span
from engine.errors import DecodingError
from engine.model import headers as names
from engine.model.codec import Limits, decode
from engine.model.topology import topic_matches
from engine.runtime.intake import routed_by
from engine.storage.event_log import EventDetail, LoggedEvent, Origin
from engine.storage.event_search import EventFilter
from engine.storage.stored import SHORT, plain

#: The time of an event that names none.
NO_TIME = 0.0


def read_event(entry: Entry, limits: Limits) -> EventDetail:
    """The event of an entry, its position the offset. Raises `DecodingError` where it cannot be read."""
    delivery = entry.delivery
    if delivery.defect is not None:
        raise DecodingError(delivery.defect)
    message = delivery.message
    key = routed_by(message, delivery.routing_key)
    envelope = decode(message, key, limits)
    event_id = envelope.id or _own_id(entry)
    moment = NO_TIME if envelope.timestamp is None else envelope.timestamp.timestamp()
    row = LoggedEvent(
        position=entry.offset,
        event_id=event_id,
        event_type=envelope.type,
        aggregate_type=envelope.aggregate_type,
        aggregate_id=envelope.aggregate_id,
        version=None,
        origin=Origin.JOURNALLED,
        queue="",
        source=envelope.source,
        correlation_id=envelope.correlation_id or event_id,
        causation_id=envelope.causation_id,
        exchange=plain(delivery.exchange, SHORT),
        routing_key=plain(key, SHORT),
        time=moment,
        due=None,
        recorded=moment,
    )
    return EventDetail(row, replace(message, headers=names.clean(message.headers, ours=True)))


def _own_id(entry: Entry) -> str:
    """The id of an event that has none: that of its place, so that one replay that goes on after a crash sends it once."""
    delivery = entry.delivery
    digest = hashlib.blake2b(delivery.message.body, digest_size=8).hexdigest()
    return f"{delivery.queue[:180]}:{entry.offset}:{digest}"


def means(wanted: EventFilter) -> Callable[[LoggedEvent], bool]:
    """Whether a filter means an event; its times and origins aside, which a stream does not know."""
    patterns = None if wanted.types is None else [one for one in wanted.types if "*" in one or "#" in one]
    named = frozenset(wanted.types or ())
    ids = None if wanted.event_ids is None else frozenset(wanted.event_ids)
    fixed = [
        (name, getattr(wanted, name))
        for name in ("aggregate_type", "aggregate_id", "correlation_id", "source")
        if getattr(wanted, name) is not None
    ]

    def holds(row: LoggedEvent) -> bool:
        if (
            patterns is not None
            and row.event_type not in named
            and not any(topic_matches(pattern, row.event_type) for pattern in patterns)
        ):
            return False
        if ids is not None and row.event_id not in ids:
            return False
        return all(getattr(row, name) == value for name, value in fixed)

    return holds


async def scan(broker: Broker, stream: str, span: Span, *, prefetch: int = 250) -> AsyncGenerator[Entry, None]:
    """The entries of a span that the stream told, and then an end. Raises as `Broker.read` does."""
    if span.first >= span.next:
        return
    async with contextlib.aclosing(broker.read(stream, span.first, prefetch=prefetch)) as entries:
        async for entry in entries:
            if entry.offset < span.next:
                yield entry
            if entry.offset >= span.next - 1:
                return
