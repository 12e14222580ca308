"""Publishing by hand: an event from a type and JSON, checked as its consumers will check it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from engine.brokers.base import Broker
from engine.errors import ConfigurationError, DecodingError, Unroutable
from engine.model import delay as delays
from engine.model.codec import Envelope, Payloads, build_event, loads, payloads, to_message
from engine.model.codec.strict import kind
from engine.model.event import Event, EventData
from engine.model.message import Publication
from engine.model.names import check_type, flaw, nearest
from engine.model.topology import Exchange, Topology, delay_topology, topic_matches
from engine.operations.operator import Operator
from engine.runtime.ids import new_id

#: Messages confirmed together.
GROUP = 500


@dataclass(frozen=True, slots=True)
class Draft:
    """An event as it was asked for; None where nothing was said."""

    type: str
    data: dict[str, Any]
    source: str
    id: str | None = None
    correlation_id: str | None = None
    aggregate: str | None = None
    version: int | None = None


class Sent(NamedTuple):
    """What became of it: the last event, how many were confirmed, and how many of these nobody takes."""

    event: Event[dict[str, Any]]
    confirmed: int
    unrouted: int


def read_payload(body: bytes) -> dict[str, Any]:
    """The payload that a JSON text holds; raises `ConfigurationError` that says what is wrong, and where."""
    try:
        data = loads(body)
    except DecodingError as error:
        raise ConfigurationError(
            f"the payload is not JSON that can be sent: {error.message}",
            hint='It is an object in UTF-8, for example \'{"order_id": "42"}\'.',
        ) from None
    if not isinstance(data, dict):
        raise ConfigurationError(
            f"the payload is {kind(data)} where an object belongs", hint='For example \'{"order_id": "42"}\'.'
        )
    return data


def known_payloads(models: Iterable[type[EventData]]) -> Payloads:
    """The models that drafts are checked with; other types pass unchecked."""
    return payloads(models, open=True)


def compose(draft: Draft, known: Payloads) -> Event[dict[str, Any]]:
    """The event of a draft. Raises `ConfigurationError` where it is refused by its model or has a name that cannot be."""
    check_type(draft.type, "the event type")
    for what, text in (("id", draft.id), ("correlation id", draft.correlation_id)):
        if text is not None and (problem := flaw(text)):
            raise ConfigurationError(f"the {what} {problem}")
    event_id, now = draft.id or new_id(), datetime.now(UTC)
    models = known.models.get(draft.type, ())
    version = draft.version or (models[-1].__warren_version__ if models else 1)
    kind_of, key = _aggregate(draft.aggregate)
    envelope = Envelope(
        draft.type, event_id, now, draft.source, kind_of, key, version, None, draft.correlation_id, draft.data, {}
    )
    try:
        checked = build_event(envelope, known, id=event_id, now=now)
    except DecodingError as error:
        raise ConfigurationError(error.message, hint="Nothing was published.") from None
    if kind_of is None and isinstance(checked.data, EventData):
        kind_of, key = type(checked.data).__warren_aggregate__, _key(checked.data)
    return replace(checked, data=draft.data, aggregate_type=kind_of, aggregate_id=key)


def _aggregate(text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    kind_of, slash, key = text.partition("/")
    if not slash or flaw(kind_of) or flaw(key):
        raise ConfigurationError(f"not an aggregate: {text!r}", hint="Write type/id, for example order/42.")
    return kind_of, key


def _key(data: EventData) -> str | None:
    name = type(data).__warren_key__
    value = None if name is None else getattr(data, name)
    return None if value is None else str(value)


async def publish(
    broker: Broker,
    app: str,
    exchange: str,
    event: Event[dict[str, Any]],
    *,
    operator: Operator,
    now: float,
    delay: float = 0.0,
    count: int = 1,
    advance: Callable[[int], None] = lambda _: None,
) -> Sent:
    """Publish an event `count` times, each with an id of its own; returns once all are confirmed.

    Raises what the broker answered where it did not confirm, and `ReadOnly`.
    """
    operator.allow("publish")
    await broker.declare(Topology(exchanges=(Exchange(exchange),)))
    if delay > 0:
        await broker.declare(delay_topology(app))
    confirmed = unrouted = 0
    while confirmed < count:
        size = min(GROUP, count - confirmed)
        batch = [event if count == 1 else _numbered(event) for _ in range(size)]
        unrouted += await _send(broker, [_publication(app, exchange, each, delay, now) for each in batch])
        event = batch[-1]
        confirmed += size
        advance(size)
    return Sent(event, confirmed, unrouted)


def _numbered(event: Event[dict[str, Any]]) -> Event[dict[str, Any]]:
    fresh = new_id()
    same = event.correlation_id == event.id
    return replace(event, id=fresh, correlation_id=fresh if same else event.correlation_id)


def _publication(app: str, exchange: str, event: Event[dict[str, Any]], delay: float, now: float) -> Publication:
    publication = Publication(exchange, event.type, to_message(event), mandatory=True)
    if delay <= 0:
        return publication
    return delays.plan(app, replace(publication, mandatory=False), now + delay, now)


async def _send(broker: Broker, publications: Sequence[Publication]) -> int:
    """Publish a group; how many of them no queue takes. That is no error for an event."""
    unrouted = 0
    for answer in await broker.publish(publications):
        if isinstance(answer, Unroutable):
            unrouted += 1
        elif answer is not None:
            raise answer
    return unrouted


def suggestion(event_type: str, known: Iterable[str]) -> str:
    """What to say of an event that nobody takes: the nearest type or pattern that somebody takes."""
    patterns = sorted(set(known))
    if any(topic_matches(pattern, event_type) for pattern in patterns):
        return (
            "A handler asks for it, but its queue is not on the broker yet: start a worker, or `warren topology apply`."
        )
    return nearest(event_type, patterns) or (f"Taken are: {', '.join(patterns[:8])}." if patterns else "")
