"""What `warren publish` does."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.cli.call import Call
from engine.cli.progress import progress
from engine.errors import ConfigurationError, DatabaseError, PluginError, UsageError
from engine.model.handler import HandlerSpec
from engine.model.subjects import Role
from engine.operations.durations import format_duration, parse_duration
from engine.operations.publishing import Draft, Sent, compose, known_payloads, publish, read_payload, suggestion

#: The largest payload that is read, in bytes; the broker's own limit may be lower.
LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wish:
    """The arguments of the verb."""

    type: str
    data: str | None
    aggregate: str | None
    correlation_id: str | None
    event_id: str | None
    version: int | None
    exchange: str | None
    delay: str | None
    count: int


async def publish_wish(call: Call, wish: Wish) -> None:
    """Publish what was asked for, and say what became of it."""
    if wish.event_id is not None and wish.count > 1:
        raise UsageError("one --id cannot be given to several events", hint="Leave out --id or --count.")
    delay = 0.0 if wish.delay is None else parse_duration(wish.delay)
    data = read_payload(_read(wish.data))
    settings = call.settings
    specs = _specs(call)
    known = known_payloads(model for spec in specs for model in (*spec.models, *spec.emits))
    draft = Draft(wish.type, data, settings.app, wish.event_id, wish.correlation_id, wish.aggregate, wish.version)
    event = compose(draft, known)
    exchange = wish.exchange or settings.exchange
    async with call.broker() as broker:
        with progress(call.output, "publishing", wish.count) as advance:
            sent = await publish(
                broker,
                settings.app,
                exchange,
                event,
                operator=call.operator,
                now=time.time(),
                delay=delay,
                count=wish.count,
                advance=advance,
            )
    hint = await _hint(call, wish.type, specs) if sent.unrouted else ""
    _print(call, wish, sent, exchange, delay, hint)


def _print(call: Call, wish: Wish, sent: Sent, exchange: str, delay: float, hint: str) -> None:
    event = sent.event
    call.output.result(
        {
            "published": sent.confirmed,
            "unrouted": sent.unrouted,
            "type": event.type,
            "id": event.id,
            "correlation_id": event.correlation_id,
            "exchange": exchange,
            "delay_s": delay,
            "hint": hint,
        }
    )
    what = f"{event.type} {event.id}" if sent.confirmed == 1 else f"{sent.confirmed:,} × {event.type}"
    when = f", to arrive in {format_duration(delay)}" if delay else ""
    call.output.line(f"Published {what} to {exchange}{when}.")
    if sent.unrouted:
        call.output.note(f"Nobody has subscribed to {wish.type}, so no queue keeps it. {hint}".rstrip())


def _read(source: str | None) -> bytes:
    if source is None:
        return b"{}"
    if source == "-":
        return sys.stdin.buffer.read(LARGEST)
    if not source.startswith("@"):
        return source.encode("utf-8", "surrogateescape")
    path = Path(source[1:])
    try:
        with path.open("rb") as file:
            return file.read(LARGEST)
    except OSError as error:
        raise ConfigurationError(f"cannot read the payload from {path}: {error.strerror}") from None


def _specs(call: Call) -> list[HandlerSpec]:
    """The project's handlers, to check the payload with; publishing does without them if it must."""
    try:
        return call.specs()
    except PluginError as error:
        call.output.note(f"The payload is not checked against the project's models: {error.message}")
        return []


async def _hint(call: Call, event_type: str, specs: Iterable[HandlerSpec]) -> str:
    """What to say of an event that nobody takes, by the project's handlers and the queues that the database remembers."""
    from engine.operations.queues import declared

    found = [(spec.role, spec.patterns) for spec in specs]
    try:
        async with call.database() as database:
            found += [(Role(queue.role), queue.patterns) for queue in await declared(database, call.settings.app)]
    except DatabaseError:
        pass  # the event is published; only the suggestion is poorer
    for role, types in found:
        if role is not Role.EVENT and event_type in types:
            return f"It is a {role}: a program sends it with engine.{'request' if role is Role.QUERY else 'send'}(…)."
    return suggestion(event_type, (pattern for role, patterns in found if role is Role.EVENT for pattern in patterns))
