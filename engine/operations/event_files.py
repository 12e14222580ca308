"""The log as lines of JSON: out of one database and into another, or kept as a file."""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from engine.errors import DecodingError, StreamError, UsageError
from engine.model.codec import decode
from engine.model.codec.logged import ANY_SIZE
from engine.model.masking import Masking
from engine.model.names import flaw
from engine.model.stream import StreamId, checked
from engine.operations.events import masked
from engine.operations.operator import Operator
from engine.operations.writing import write
from engine.storage import audit, event_search
from engine.storage.database import Database
from engine.storage.event_log import Entry, EventDetail, Origin
from engine.storage.event_search import EventFilter
from engine.storage.importing import take_in
from engine.storage.stored import build_message, dump_properties, load_properties

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")

#: Events that are read, or written in one transaction, at a time.
GROUP = 500

_TEXTS = ("event_id", "event_type", "queue", "source", "exchange", "routing_key")
_MAYBE_TEXTS = ("aggregate_type", "aggregate_id", "correlation_id", "causation_id")


class Imported(NamedTuple):
    """How many lines there were, and how many of their events were new."""

    lines: int
    events: int


async def export(
    database: Database, wanted: EventFilter, *, operator: Operator, masking: Masking
) -> AsyncIterator[bytes]:
    """The matching events up to the present end of the log, in order, one line of ASCII JSON each.

    An operator who only looks gets no secrets: without masking it raises `ReadOnly`. What is masked cannot be imported.
    """
    if not masking.on:
        operator.allow("export secrets unmasked")
    after = 0
    while True:
        found, after = await database.read(
            lambda connection, after=after: event_search.read_on(connection, wanted, after=after, limit=GROUP)  # type: ignore[misc]
        )
        if found:
            yield b"".join(line(masked(detail, masking), masked=masking.on) for detail in found)
        if len(found) < GROUP:
            return


def line(detail: EventDetail, *, masked: bool = False) -> bytes:
    """An event as a line: all columns, the message's properties, and its body as text or, where it is none, in base64."""
    told: dict[str, Any] = {**detail.row._asdict(), "message": load_properties(dump_properties(detail.message))}
    body = detail.message.body
    try:
        told["body"] = body.decode()
    except UnicodeDecodeError:
        told["body_base64"] = b64encode(body).decode()
    if masked:
        told["masked"] = True
    return json.dumps(told).replace("\x7f", "\\u007f").encode() + b"\n"


async def take(
    database: Database,
    lines: Iterable[bytes],
    *,
    operator: Operator,
    name: str = "",
    advance: Callable[[int], None] = lambda _: None,
) -> Imported:
    """Append exported events to the log, in groups; nothing is published. What is there already is left alone.

    Raises `UsageError` for a line that is no event, and where one does not follow the last of its stream: it says which
    line; the groups before are in the log, and the import can be run again. Raises `ReadOnly`.
    """
    operator.allow("import events")
    read = new = 0
    for group in _groups((number, each) for number, each in enumerate(lines, 1) if each.strip()):
        entries = [_entry(each, number) for number, each in group]
        try:
            new += await write(database, partial(_take_in, entries))
        except StreamError as error:
            where = f"lines {group[0][0]} to {group[-1][0]}"
            raise UsageError(
                f"{where} cannot be imported: {error.message}",
                hint="A stream is imported whole and in order: export it again, from its first version on.",
            ) from error
        read += len(group)
        advance(len(group))
    entry = audit.Entry(time.time(), operator.who, "events import", "", {"file": name}, {"lines": read, "events": new})
    await write(database, partial(audit.append, entry=entry))
    return Imported(read, new)


def _take_in(entries: list[Entry], connection: Connection) -> int:
    return take_in(connection, entries, now=time.time())


def _groups(items: Iterable[T]) -> Iterator[list[T]]:
    group: list[T] = []
    for item in items:
        group.append(item)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group


def _is_place(version: object, kind: str | None, name: str | None) -> bool:
    if type(version) is not int or version < 1 or kind is None or name is None:
        return False
    try:
        checked(StreamId(kind, name))
    except UsageError:
        return False
    return True


def _is_time(value: object) -> bool:
    """Whether this is a number of seconds since the epoch that a date can be made of."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return False
    return True


def _entry(text: bytes, number: int) -> Entry:
    """The entry that a line describes; raises `UsageError` where it does not."""

    def wrong(why: str) -> UsageError:
        return UsageError(
            f"line {number} is no event of an export: {why}",
            hint="`warren events export --unmasked` writes what can be imported.",
        )

    try:
        told: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise wrong("it is not JSON") from None
    if not isinstance(told, dict):
        raise wrong("it is no object")
    if told.get("masked"):
        raise wrong("its secrets are masked")
    for field in (*_TEXTS, *_MAYBE_TEXTS):
        value = told.get(field)
        allowed_empty = field in ("queue", "source", "exchange", "routing_key")
        if value is None and field in _MAYBE_TEXTS:
            continue
        if not isinstance(value, str) or (flaw(value) and not (allowed_empty and not value)):
            raise wrong(f"{field} is missing or cannot be")
    version = told.get("version")
    if version is not None and not _is_place(version, told.get("aggregate_type"), told.get("aggregate_id")):
        raise wrong("version is no place in a stream")
    for field in ("time", "due"):
        if not _is_time(told.get(field)) and not (field == "due" and told.get(field) is None):
            raise wrong(f"{field} is no time")
    try:
        origin = Origin(told["origin"])
        body = b64decode(told["body_base64"], validate=True) if "body_base64" in told else told["body"].encode()
        message = build_message(body, told["message"])
        decode(message, told["event_type"], ANY_SIZE)
    except (KeyError, ValueError, TypeError, AttributeError):
        raise wrong("origin, message or body is missing or cannot be") from None
    except DecodingError as error:
        raise wrong(error.message) from None
    return Entry(
        told["event_id"],
        told["event_type"],
        told.get("aggregate_type"),
        told.get("aggregate_id"),
        version,
        origin,
        told["queue"],
        told["source"],
        told.get("correlation_id"),
        told.get("causation_id"),
        told["exchange"],
        told["routing_key"],
        told["time"],
        told.get("due"),
        message,
    )
