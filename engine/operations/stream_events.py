"""The journal's stream as an operator sees it: searched backwards from its end, looked at, followed as it grows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.brokers.base import Broker, Entry, Span
from engine.errors import BrokerUnavailable, DecodingError, UsageError
from engine.model.codec import Limits
from engine.operations.events import masked
from engine.operations.masking import Masking
from engine.runtime.stream_log import means, read_event, scan
from engine.storage.event_log import EventDetail
from engine.storage.event_search import EventFilter

__all__ = ["Source", "StreamPage", "Unreadable", "bounds", "one", "page", "tail"]

#: Offsets that are read at a time when one searches backwards: at first, and at most.
FIRST_BLOCK, LARGEST_BLOCK = 250, 20_000
#: Entries that are no events which a page names.
SHOWN = 20
#: Seconds until a lost broker is tried again.
RETRY = 1.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where events are read from: a stream of a broker; what a body may be at most; what is hidden of it."""

    broker: Broker
    stream: str
    limits: Limits
    masking: Masking


class Unreadable(NamedTuple):
    """An entry that is no event: where it is, why, and what it holds."""

    offset: int
    reason: str
    entry: Entry


class StreamPage(NamedTuple):
    """Events, the newest first; `before` fetches the page that follows, None when there is none.

    `unreadable` entries were among them, of which `shown` has the last. `span` is what was asked for of the stream.
    """

    rows: list[EventDetail]
    before: int | None
    unreadable: int
    shown: list[Unreadable]
    span: Span


async def bounds(source: Source, wanted: EventFilter, *, offset: int | None = None, before: int | None = None) -> Span:
    """The offsets that are meant: those of the times of the filter, from an offset on, and below another.

    Raises `QueueMissing`, and `UsageError` for what a stream does not know.
    """
    if wanted.origin is not None or wanted.in_stream is not None:
        raise UsageError(
            "a stream does not know how an event came into it, nor what belongs to an aggregate's stream",
            hint="Leave out --origin and --stream; --aggregate finds what is about a thing.",
        )
    if wanted.texts:
        raise UsageError("bodies in a stream are not searched for text", hint="Filter by type, aggregate or time.")
    broker, stream = source.broker, source.stream
    first, after = await broker.span(stream)
    if wanted.since is not None:
        first = max(first, (await broker.span(stream, wanted.since)).first)
    if wanted.until is not None:
        after = min(after, (await broker.span(stream, wanted.until)).first)
    first = max(first, offset or 0)
    after = after if before is None else min(after, before)
    return Span(min(first, after), after)


async def page(
    source: Source, wanted: EventFilter, *, limit: int, offset: int | None = None, before: int | None = None
) -> StreamPage:
    """The newest events that are meant; `before` continues below the offset of the last one seen."""
    span = await bounds(source, wanted, offset=offset, before=before)
    holds = means(wanted)
    rows: list[EventDetail] = []
    unreadable, shown = 0, list[Unreadable]()
    size, high = max(limit, FIRST_BLOCK), span.next
    while high > span.first and len(rows) < limit:
        low = max(high - size, span.first)
        found: list[EventDetail] = []
        broken: list[Unreadable] = []
        async with contextlib.aclosing(scan(source.broker, source.stream, Span(low, high))) as entries:
            async for entry in entries:
                event = _read(source, entry)
                if isinstance(event, Unreadable):
                    broken.append(event)
                elif holds(event.row):
                    found.append(event)
        rows += reversed(found)
        until = rows[limit - 1].row.position if len(rows) >= limit else low
        broken = [each for each in reversed(broken) if each.offset >= until]
        unreadable += len(broken)
        shown += broken[: SHOWN - len(shown)]
        size, high = min(size * 2, LARGEST_BLOCK), low
    rows = [masked(each, source.masking) for each in rows[:limit]]
    return StreamPage(rows, rows[-1].row.position if len(rows) == limit else None, unreadable, shown, span)


async def one(source: Source, reference: str) -> EventDetail | Unreadable:
    """The entry at an offset, its secrets hidden. Raises `UsageError` when there is none."""
    span = await source.broker.span(source.stream)
    offset = int(reference) if reference.isascii() and reference.isdigit() and len(reference) < 19 else -1
    if span.first <= offset < span.next:
        async with contextlib.aclosing(scan(source.broker, source.stream, Span(offset, span.next))) as entries:
            async for entry in entries:
                if entry.offset > offset:
                    break
                found = _read(source, entry)
                return found if isinstance(found, Unreadable) else masked(found, source.masking)
    there = f"It has the offsets {span.first:,} to {span.next - 1:,}." if span.next > span.first else "It is empty."
    raise UsageError(f"the stream {source.stream} has no event at {reference}", hint=f"{there} An offset is meant.")


async def tail(source: Source, wanted: EventFilter, *, offset: int) -> AsyncIterator[EventDetail | Unreadable]:
    """The events that are meant from an offset on, each once and in order, without end.

    What cannot be read is among them. It goes on by itself through an outage of the broker.
    """
    holds, place = means(wanted), offset
    while True:
        try:
            async with contextlib.aclosing(source.broker.read(source.stream, place)) as entries:
                async for entry in entries:
                    place = entry.offset + 1
                    found = _read(source, entry)
                    if isinstance(found, Unreadable):
                        yield found
                    elif holds(found.row):
                        yield masked(found, source.masking)
        except BrokerUnavailable:
            await asyncio.sleep(RETRY)


def _read(source: Source, entry: Entry) -> EventDetail | Unreadable:
    try:
        return read_event(entry, source.limits)
    except DecodingError as error:
        message = entry.delivery.message
        hidden = replace(
            message, body=source.masking.body(message.body), headers=source.masking.headers(message.headers)
        )
        return Unreadable(entry.offset, error.message, Entry(entry.offset, replace(entry.delivery, message=hidden)))
