"""Searching failures, and how one is put into words."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.errors import ConfigurationError, UsageError
from engine.model.message import Headers
from engine.model.names import nearest
from engine.operations.durations import parse_duration
from engine.storage import failure_search
from engine.storage.database import Database
from engine.storage.failure_search import Cursor, Filter, Group
from engine.storage.failures import FailureDetail, FailureRow, Status, get

EVERY_STATUS = "all"


class Page(NamedTuple):
    """Failures, the newest first; `after` fetches the page that follows, None when there is none."""

    rows: list[FailureRow]
    total: int
    after: Cursor | None


def make_filter(
    *,
    now: float,
    ids: Sequence[int] = (),
    handler: str | None = None,
    exception: str | None = None,
    queue: str | None = None,
    older_than: str | None = None,
    newer_than: str | None = None,
    correlation_id: str | None = None,
    fingerprint: str | None = None,
    text: str | None = None,
    status: str = Status.OPEN.value,
) -> Filter:
    """A filter from words; ages such as `2h` are reckoned from `now`. Raises `ConfigurationError`."""
    return Filter(
        ids=list(ids) or None,
        handler=handler,
        exception=exception,
        queue=queue,
        arrived_before=None if older_than is None else now - parse_duration(older_than),
        arrived_after=None if newer_than is None else now - parse_duration(newer_than),
        correlation_id=correlation_id,
        fingerprint=fingerprint,
        text=text,
        status=_status(status),
    )


def _status(word: str) -> Status | None:
    known = [EVERY_STATUS, *(status.value for status in Status)]
    if word not in known:
        raise ConfigurationError(
            f"not a status: {word!r}", hint=nearest(word, known) or f"There are: {', '.join(known)}."
        )
    return None if word == EVERY_STATUS else Status(word)


def narrows(wanted: Filter) -> bool:
    """Whether the filter leaves anything out but by status."""
    return any(getattr(wanted, name) is not None for name in Filter.__dataclass_fields__ if name != "status")


async def page(database: Database, wanted: Filter, *, limit: int, after: Cursor | None = None) -> Page:
    """One page of matching failures, and how many match in all."""
    rows = await database.read(lambda connection: failure_search.search(connection, wanted, limit=limit, after=after))
    total = await database.read(lambda connection: failure_search.count(connection, wanted))
    return Page(rows, total, failure_search.cursor(rows[-1]) if len(rows) == limit else None)


async def groups(database: Database, wanted: Filter, *, limit: int) -> list[Group]:
    """Matching failures by cause, the largest group first."""
    return await database.read(lambda connection: failure_search.groups(connection, wanted, limit=limit))


async def one(database: Database, failure_id: int) -> FailureDetail:
    """One failure, whole. Raises `UsageError` when there is none of this id."""
    found = await database.read(lambda connection: get(connection, failure_id))
    if found is None:
        raise UsageError(
            f"there is no failure {failure_id}", hint="`warren failures list --status all` shows their ids."
        )
    return found


def row_dict(row: FailureRow) -> dict[str, Any]:
    """A failure for programs: keys are stable."""
    return {**row._asdict(), "body_hash": row.body_hash.hex()}


def detail_dict(detail: FailureDetail) -> dict[str, Any]:
    """A failure for programs, whole. `body` is text where it is UTF-8, else `body_base64` has it."""
    message = detail.original
    try:
        body = {"body": message.body.decode()}
    except UnicodeDecodeError:
        body = {"body_base64": b64encode(message.body).decode()}
    return {
        **row_dict(detail.row),
        "traceback": detail.traceback,
        "headers": plain_headers(message.headers),
        "content_type": message.content_type,
        "type": message.type,
        "app_id": message.app_id,
        "timestamp": message.timestamp,
        **body,
    }


def plain_headers(headers: Headers) -> dict[str, Any]:
    """Headers as JSON has them: what it lacks becomes text."""
    return {name: _plain(value) for name, value in headers.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def pretty_body(body: bytes, limit: int = 64 * 1024) -> str:
    """A body for people: JSON indented, other text as it is, bytes by their number; cut at `limit` bytes."""
    shown = body[:limit]
    try:
        text = json.dumps(json.loads(shown), indent=2, ensure_ascii=False) if len(body) <= limit else shown.decode()
    except (ValueError, RecursionError):
        text = shown.decode("utf-8", "replace")
        if "\x00" in text or "\N{REPLACEMENT CHARACTER}" in text[:100]:
            return f"({len(body):,} bytes that are not text)  {shown[:64].hex(' ')}"
    return text if len(body) <= limit else f"{text}\n… ({len(body):,} bytes in all)"
