"""Searching failures, and how one is put into words."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import ConfigurationError, DecodingError, FilterError, UsageError
from engine.model import json_text
from engine.model.filter import Filter
from engine.model.masking import Masking
from engine.model.message import Headers
from engine.model.names import nearest
from engine.operations.durations import parse_duration
from engine.operations.filtering import parse_filter, pointed
from engine.operations.masking import mask_detail, mask_row
from engine.storage import failure_fields, failure_groups, failure_search, held
from engine.storage.database import Database
from engine.storage.failure_groups import Group, Window
from engine.storage.failure_search import Cursor
from engine.storage.failures import FailureDetail, FailureRow, Outcome, Status, get

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = (
    "EVERY_STATUS", "Cursor", "FailureDetail", "FailureRow", "Filter", "Group", "Outcome", "Page", "Status",
    "before", "behind", "count", "detail_dict", "groups", "ids", "index", "make_filter", "narrows", "one", "page",
    "plain_headers", "pretty_body", "row_dict", "rows", "unindexed",
)  # fmt: skip

EVERY_STATUS = "all"

#: Seconds in the sparkline of a group, and the parts it has.
SPAN, BUCKETS = 86400.0, 24

#: Failures whose payload is indexed in one transaction.
GROUP = 250


class Page(NamedTuple):
    """Failures in their order; `after` fetches the page that follows, None when there is none.

    `total` is -1 where it was not asked for. `unindexed`: failures of an older program that a search by a
    field of the payload does not see yet.
    """

    rows: list[FailureRow]
    total: int
    after: Cursor | None
    unindexed: int = 0


def make_filter(
    *,
    now: float,
    where: str | None = None,
    ids: Sequence[int] = (),
    handler: str | None = None,
    exception: str | None = None,
    queue: str | None = None,
    older_than: str | None = None,
    newer_than: str | None = None,
    correlation_id: str | None = None,
    fingerprint: str | None = None,
    text: str | None = None,
    status: str | None = Status.OPEN.value,
) -> Filter:
    """A filter from options, and from `where` in the filter language; ages such as `2h` are reckoned from `now`.

    All must hold. `status` holds unless `where` names one; None is open. Raises `ConfigurationError`, and
    `FilterError` for what `where` says.
    """
    chosen = Status.OPEN if status is None else _status(status)
    try:
        found = parse_filter(where or "", now=now, status=chosen)
    except FilterError as error:
        shown = "\n".join(f"  {line}" for line in pointed(where or "", error).split("\n"))
        raise FilterError(
            f"{error.message}\n{shown}", hint=error.hint, column=error.column, width=error.width
        ) from None
    given: dict[str, Any] = {
        "ids": tuple(ids) or None,
        "handler": handler,
        "exception": exception,
        "queue": queue,
        "arrived_before": None if older_than is None else now - parse_duration(older_than),
        "arrived_after": None if newer_than is None else now - parse_duration(newer_than),
        "correlation_id": correlation_id,
        "fingerprint": fingerprint,
    }
    for name, value in given.items():
        if value is not None and getattr(found, name) is not None:
            raise UsageError(
                f"the filter says {name.replace('_', ' ')} twice",
                hint="Say it as an option or in --where, not in both.",
            )
    said = {name: value for name, value in given.items() if value is not None}
    return replace(found, **said, texts=(*found.texts, *([text] if text else [])))


def _status(word: str) -> Status | None:
    known = [EVERY_STATUS, *(status.value for status in Status)]
    if word not in known:
        raise ConfigurationError(
            f"not a status: {word!r}", hint=nearest(word, known) or f"There are: {', '.join(known)}."
        )
    return None if word == EVERY_STATUS else Status(word)


def narrows(wanted: Filter) -> bool:
    """Whether the filter leaves anything out but by status."""
    return wanted.narrows()


async def page(
    database: Database,
    wanted: Filter,
    *,
    limit: int,
    masking: Masking,
    after: Cursor | None = None,
    oldest_first: bool = False,
    skip: int = 0,
    total: bool = True,
) -> Page:
    """One page of matching failures, the newest first, `skip` rows behind a place; and how many match in all."""

    def work(connection: Connection) -> Page:
        found = failure_search.search(
            connection, wanted, limit=limit, after=after, oldest_first=oldest_first, skip=skip
        )
        return Page(
            [mask_row(row, masking) for row in found],
            failure_search.count(connection, wanted) if total else -1,
            failure_search.cursor(found[-1]) if len(found) == limit else None,
            failure_fields.missing(connection) if wanted.fields else 0,
        )

    return await database.read(work)


async def count(database: Database, wanted: Filter) -> int:
    """How many failures match."""
    return await database.read(lambda connection: failure_search.count(connection, wanted))


async def before(database: Database, wanted: Filter, place: Cursor, *, oldest_first: bool = False) -> int:
    """How many matching failures stand before a place."""
    return await database.read(
        lambda connection: failure_search.count(
            connection, wanted, above=None if oldest_first else place, below=place if oldest_first else None
        )
    )


async def ids(
    database: Database,
    wanted: Filter,
    *,
    first: Cursor | None = None,
    last: Cursor | None = None,
    limit: int | None = None,
) -> list[int]:
    """The ids of matching failures, the newest first, from the place `first` to `last`, both included."""
    return await database.read(
        lambda connection: failure_search.select_ids(
            connection, wanted, newest_first=True, newest=first, oldest=last, limit=limit
        )
    )


async def rows(database: Database, ids: Sequence[int], *, masking: Masking) -> list[FailureRow]:
    """These failures in this order; those that are gone are left out."""
    return await database.read(
        lambda connection: [mask_row(row, masking) for row in failure_search.rows_of(connection, ids)]
    )


async def groups(
    database: Database,
    wanted: Filter,
    *,
    limit: int,
    masking: Masking,
    buckets: int = BUCKETS,
    span: float = SPAN,
    now: float | None = None,
) -> list[Group]:
    """Matching failures by cause, the largest group first.

    Each has its numbers in `buckets` equal parts of the last `span` seconds before `now`.
    """
    until = time.time() if now is None else now
    window = Window(until - span, until, buckets)

    def work(connection: Connection) -> list[Group]:
        found = failure_groups.groups(connection, wanted, limit=limit, window=window)
        return [group._replace(latest=mask_row(group.latest, masking)) for group in found]

    return await database.read(work)


async def one(database: Database, failure_id: int, *, masking: Masking) -> FailureDetail:
    """One failure, whole. Raises `UsageError` when there is none of this id."""

    def work(connection: Connection) -> FailureDetail | None:
        detail = get(connection, failure_id)
        return None if detail is None else mask_detail(detail, masking)

    found = await database.read(work)
    if found is None:
        raise UsageError(
            f"there is no failure {failure_id}", hint="`warren failures list --status all` shows their ids."
        )
    return found


async def behind(database: Database, row: FailureRow) -> int:
    """How many messages wait behind a failure: later ones of its key, where its handler wants a strict order."""
    return await database.read(lambda connection: held.behind(connection, row.queue, row.event_id))


async def unindexed(database: Database) -> int:
    """How many failures a search by a field of the payload does not see yet."""
    return await database.read(failure_fields.missing)


async def index(database: Database, *, most: int) -> int:
    """Take failures of an older program into the index of fields, the newest first; how many there were.

    Workers do so by themselves. It changes nothing that anybody sees, so it needs no operator.
    """
    done = 0
    while done < most:
        taken = await database.write(lambda connection: failure_fields.catch_up(connection, GROUP))
        done += taken
        if taken < GROUP:
            break
    return done


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
        text = json_text.write(json_text.parse(body), indent=2) if len(body) <= limit else shown.decode()
    except (ValueError, DecodingError):
        text = shown.decode("utf-8", "replace")
        if "\x00" in text or "\N{REPLACEMENT CHARACTER}" in text[:100]:
            return f"({len(body):,} bytes that are not text)  {shown[:64].hex(' ')}"
    return text if len(body) <= limit else f"{text}\n… ({len(body):,} bytes in all)"
