"""The log of events as an operator sees it: searched, looked at, followed as it grows."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from engine.errors import ConfigurationError, PluginError, UsageError
from engine.model.message import Message
from engine.model.names import nearest
from engine.model.topology import check_pattern
from engine.operations.durations import parse_duration
from engine.operations.failures import plain_headers
from engine.operations.masking import Masking
from engine.storage import event_log, event_search
from engine.storage.database import Database
from engine.storage.event_log import EventDetail, LoggedEvent, Origin
from engine.storage.event_search import EventFilter

__all__ = [
    "EventDetail",
    "EventFilter",
    "LoggedEvent",
    "Message",
    "Origin",
    "Page",
    "before_last",
    "count",
    "detail_dict",
    "make_filter",
    "moment",
    "newer",
    "older",
    "one",
    "page",
    "positions",
    "row_dict",
    "tail",
    "types",
]

#: Seconds between two looks for new events.
INTERVAL = 0.5
#: Events that are read at a time when the log is followed.
GROUP = 500


class Page(NamedTuple):
    """Events, the newest first; `before` fetches the page that follows, None when there is none."""

    rows: list[LoggedEvent]
    before: int | None


def make_filter(
    *,
    now: float,
    types: Sequence[str] = (),
    aggregate: str | None = None,
    stream: str | None = None,
    correlation_id: str | None = None,
    origin: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> EventFilter:
    """A filter from words. Raises `ConfigurationError`.

    `types` are types or topic patterns, `aggregate` is `order/42` or all of a kind, `order`; `stream` the same of what belongs
    to the streams of these. For `since` and `until` see `moment`.
    """
    if stream is not None and aggregate is not None:
        raise ConfigurationError("--stream and --aggregate do not go together", hint="Leave out --aggregate.")
    for pattern in types:
        try:
            check_pattern(pattern)
        except PluginError as error:
            raise ConfigurationError(error.message, hint=error.hint) from None
    about = aggregate if stream is None else stream
    kind, slash, key = (about or "").partition("/")
    if about is not None and (not kind or (slash and not key)):
        raise ConfigurationError(
            f"not an aggregate: {about!r}", hint="Write type/id, for example order/42, or type alone."
        )
    return EventFilter(
        types=list(types) or None,
        aggregate_type=kind or None,
        aggregate_id=key or None,
        in_stream=None if stream is None else True,
        correlation_id=correlation_id,
        origin=None if origin is None else _origin(origin),
        since=None if since is None else moment(since, now),
        until=None if until is None else moment(until, now),
    )


def moment(text: str, now: float) -> float:
    """A time in seconds since the epoch: so long ago (`2h`), or a date and time of ISO 8601, in UTC unless it says.

    Raises `ConfigurationError`.
    """
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            return now - parse_duration(text)
        except ConfigurationError:
            raise ConfigurationError(
                f"not a time: {text!r}", hint="Say how long ago, such as 2h or 3d, or write 2026-11-23T19:00."
            ) from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def _origin(word: str) -> Origin:
    known = [str(origin) for origin in Origin]
    if word not in known:
        raise ConfigurationError(
            f"not an origin: {word!r}", hint=nearest(word, known) or f"There are: {', '.join(known)}."
        )
    return Origin(word)


def narrows(wanted: EventFilter) -> bool:
    """Whether the filter leaves anything out."""
    return wanted != EventFilter()


async def page(database: Database, wanted: EventFilter, *, limit: int, before: int | None = None) -> Page:
    """The newest matching events, or those below the position `before`."""
    rows = await database.read(
        lambda connection: event_search.search(connection, wanted, limit=limit, before=before)
    )  # fmt: skip
    return Page(rows, rows[-1].position if len(rows) == limit else None)


async def newer(
    database: Database, wanted: EventFilter, *, limit: int, after: int = 0, skip: int = 0
) -> list[LoggedEvent]:
    """The oldest matching events above the position `after`, in order; `skip` leaves out so many."""
    return await database.read(
        lambda connection: event_search.first(connection, wanted, limit=limit, after=after, skip=skip)
    )


async def older(
    database: Database, wanted: EventFilter, *, limit: int, before: int | None = None, skip: int = 0
) -> list[LoggedEvent]:
    """The newest matching events below the position `before`, the newest first; `skip` leaves out so many."""
    return await database.read(
        lambda connection: event_search.search(connection, wanted, limit=limit, before=before, skip=skip)
    )


async def positions(database: Database, wanted: EventFilter, *, first: int = 0, last: int | None = None) -> list[int]:
    """The positions of the matching events from one to another, both included, in order."""
    before = None if last is None else last + 1
    return await database.read(
        lambda connection: event_search.positions(connection, wanted, after=first - 1, before=before)
    )


async def count(database: Database, wanted: EventFilter, *, after: int | None = None, before: int | None = None) -> int:
    """How many events match; only those above one position, and below another."""
    return await database.read(
        lambda connection: event_search.count(connection, wanted, after=after, before=before)
    )  # fmt: skip


async def types(database: Database) -> list[str]:
    """All event types of the log, by name."""
    return await database.read(event_search.types)


async def one(database: Database, reference: str, *, masking: Masking) -> EventDetail:
    """One event, whole, by its id or else its position, its secrets hidden. Raises `UsageError` when it is not in the log."""
    wanted = EventFilter(event_ids=[reference])
    positions = await database.read(lambda connection: event_search.positions(connection, wanted))
    if not positions and reference.isascii() and reference.isdigit() and len(reference) < 19:
        positions = [int(reference)]
    found = await whole(database, positions, masking=masking)
    if not found:
        raise UsageError(
            f"the log has no event {reference}", hint="`warren events list` shows their positions and ids."
        )
    return found[0]


async def whole(database: Database, positions: Sequence[int], *, masking: Masking) -> list[EventDetail]:
    """The events at these positions with their messages, by position."""
    found = await database.read(lambda connection: event_log.get_many(connection, positions))
    return [masked(detail, masking) for detail in found]


async def before_last(database: Database, wanted: EventFilter, last: int) -> int:
    """The position after which `tail` begins with the last so many matching events that are there.

    With more than these, where a transaction that is still open has a place before them.
    """
    end = await database.read(event_search.end)
    rows = (await page(database, wanted, limit=last)).rows if last else []
    return min(end, rows[-1].position - 1) if rows else end


async def tail(
    database: Database,
    wanted: EventFilter,
    *,
    masking: Masking,
    after: int | None = None,
    interval: float = INTERVAL,
) -> AsyncIterator[EventDetail]:
    """The matching events above a position, and then those to come, each once and in order, without end.

    Without `after` it begins with the next event. `interval` is in seconds.
    """
    position = await database.read(event_search.end) if after is None else after
    while True:
        found, position = await database.read(
            lambda connection, after=position: event_search.read_on(connection, wanted, after=after, limit=GROUP)  # type: ignore[misc]
        )
        for event in found:
            yield masked(event, masking)
        if len(found) < GROUP:
            await asyncio.sleep(interval)


def row_dict(row: LoggedEvent) -> dict[str, Any]:
    """An event for programs: keys are stable."""
    return row._asdict()


def masked(detail: EventDetail, masking: Masking) -> EventDetail:
    """An event as it is shown, its secrets hidden."""
    if not masking.on:
        return detail
    message = detail.message
    hidden = replace(message, body=masking.body(message.body), headers=masking.headers(message.headers))
    return EventDetail(detail.row, hidden)


def detail_dict(detail: EventDetail) -> dict[str, Any]:
    """An event for programs, whole. `data` is its payload where it has the form of a DomainEvent, else `body` has all."""
    message = detail.message
    return {
        **row_dict(detail.row),
        "headers": plain_headers(message.headers),
        "content_type": message.content_type,
        **_told(message.body),
    }


def _told(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"body_base64": b64encode(body).decode()}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {"body": text}
    if isinstance(value, dict) and "eventType" in value and isinstance(value.get("data"), dict):
        return {"data": value["data"], "metadata": value.get("metadata") or {}}
    return {"body": text}
