"""Appending to streams: all of a commit or nothing, each stream only at the version that was expected.

Who appends first takes the streams' locks, in one order everywhere: on PostgreSQL advisory locks, on SQLite the
writer's turn. So the version that is read is the one that is written on, and no two writers wait for
each other in a circle. The unique index stands behind all that, for transactions that read an older state.
"""

# ruff: noqa: S608  # what is put together here are numbers and names of columns

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, select, text
from sqlalchemy.exc import IntegrityError

from engine.errors import ConcurrencyConflict, EventTaken, StreamArchived, StreamError, WarrenError
from engine.model.codec import STREAM_VERSION, to_message
from engine.model.event import Event
from engine.model.message import HeaderValue, Message
from engine.model.outgoing import Kind, Outgoing, order_of
from engine.model.stream import ExpectedVersion, StreamId, to_number
from engine.storage import event_log, outbox, snapshots, tables
from engine.storage.event_log import Entry, Origin
from engine.storage.snapshots import Snapshot
from engine.storage.statements import for_driver

#: Streams whose versions are read with one statement.
_CHUNK = 500

_events = tables.events
_archived = tables.archived_streams

_ARCHIVED = select(_archived.c.version).where(
    _archived.c.aggregate_type == bindparam("kind"), _archived.c.aggregate_id == bindparam("name")
)
_STANDING = select(func.max(_events.c.version), _ARCHIVED.scalar_subquery()).where(
    _events.c.aggregate_type == bindparam("kind"),
    _events.c.aggregate_id == bindparam("name"),
    _events.c.version.is_not(None),
)
#: Beyond every version.
_LAST = 2**62
_READ = (
    select(
        _events.c.position,
        _events.c.version,
        _events.c.event_id,
        _events.c.event_type,
        _events.c.source,
        _events.c.correlation_id,
        _events.c.causation_id,
        _events.c.time,
        _events.c.recorded,
        _events.c.body,
    )
    .where(
        _events.c.aggregate_type == bindparam("kind"),
        _events.c.aggregate_id == bindparam("name"),
        _events.c.version.is_not(None),
        _events.c.version > bindparam("after"),
        _events.c.version <= bindparam("until"),
    )
    .order_by(_events.c.version)
    .limit(bindparam("size"))
)
_OF_STREAM = "aggregate_type = one.column1 AND aggregate_id = one.column2"
# Of the events those with a version: the index holds no others.
_STANDINGS = (
    "SELECT column1, column2,"
    f" (SELECT max(version) FROM warren_events WHERE {_OF_STREAM} AND version IS NOT NULL),"
    f" (SELECT version FROM warren_archived_streams WHERE {_OF_STREAM})"
)


class Standing(NamedTuple):
    """The version of a stream's last event in the log, 0 without any; and at which version it was archived.

    Both: it is being taken back, and not whole yet.
    """

    version: int
    archived: int | None


class Stored(NamedTuple):
    """An event of a stream as it stands in the table. Times in seconds since the epoch."""

    position: int
    version: int
    event_id: str
    event_type: str
    source: str
    correlation_id: str | None
    causation_id: str | None
    time: float
    recorded: float
    body: bytes


class Append(NamedTuple):
    """Events to be appended to one stream, which must be at the expected version.

    `row_ids` are those of the rows that publish them, one each, or none where they are not published. `known_ids`:
    the events may be in the log already, under their ids.
    """

    stream: StreamId
    expected: ExpectedVersion
    events: Sequence[Event[Any]]
    row_ids: Sequence[str] = ()
    known_ids: bool = False


class Commit(NamedTuple):
    """Appends that are made together or not at all. `now` in seconds since the epoch.

    `queue` is that of the handler which appends, or nothing; `headers` go with the messages. `owner` relays them.
    """

    appends: Sequence[Append]
    exchange: str
    now: float
    queue: str = ""
    owner: str | None = None
    headers: Mapping[str, HeaderValue] | None = None
    snapshots: Sequence[Snapshot] = ()


class Appended(NamedTuple):
    """The events of a commit as they are in the log, their messages, and what publishes them; the versions by append."""

    events: list[Event[Any]]
    messages: list[Message]
    rows: list[Outgoing]
    versions: list[int]


class _Written(NamedTuple):
    entries: list[Entry]
    rows: list[tuple[str | None, Outgoing]]
    snapshots: list[Snapshot]


def append(connection: Connection, commits: Sequence[Commit], *, guest: bool = False) -> list[Appended | WarrenError]:
    """Make these commits, each whole or not at all: what became of each, in order.

    `guest`: the connection is the application's own, with a driver that may be another. Raises SQLAlchemy's
    `IntegrityError` where the transaction sees an older state than the one that it would write on.
    """
    streams = list(dict.fromkeys(each.stream for commit in commits for each in commit.appends))
    if guest and connection.dialect.name == "sqlite":
        # Takes the turn to write, and waits for it; a read before the first write could not be written upon afterwards.
        connection.exec_driver_sql("DELETE FROM warren_archived_streams WHERE 0")
    lock(connection, streams)
    found = standings(connection, streams, guest=guest)
    at = {stream: standing.version for stream, standing in found.items()}
    away = {stream: standing.archived for stream, standing in found.items() if standing.archived is not None}
    written = _Written([], [], [])
    results: list[Appended | WarrenError] = []
    for commit in commits:
        lost = next((each.stream for each in commit.appends if each.stream in away), None) if away else None
        results.append(_commit(connection, commit, at, written) if lost is None else gone(lost, away[lost], at[lost]))
    now = commits[0].now if commits else 0.0
    if guest:
        event_log.append_new_as_guest(connection, written.entries, now=now)
        outbox.add_as_guest(connection, [row for _, row in written.rows])
    else:
        event_log.append_new(connection, written.entries, now=now)
        for owner in dict.fromkeys(owner for owner, _ in written.rows):
            outbox.add(connection, owner, [row for one, row in written.rows if one == owner])
    snapshots.write(connection, written.snapshots)
    return results


def one(connection: Connection, commit: Commit, *, guest: bool = False) -> Appended:
    """Make one commit; raises the `StreamError` why it cannot be."""
    try:
        result = append(connection, [commit], guest=guest)[0]
    except IntegrityError as error:
        raise conflict(commit, None) from error
    if isinstance(result, WarrenError):
        raise result
    return result


def conflict(commit: Commit, actual: int | None) -> StreamError:
    """The error for a commit that the database itself refused."""
    first = commit.appends[0]
    return ConcurrencyConflict(str(first.stream), to_number(first.expected) or 0, actual)


def standing(connection: Connection, stream: StreamId) -> Standing:
    """How a stream stands now."""
    row = connection.execute(_STANDING, {"kind": stream.aggregate_type, "name": stream.aggregate_id}).one()
    return Standing(row[0] or 0, row[1])


def standings(connection: Connection, streams: Sequence[StreamId], *, guest: bool = False) -> dict[StreamId, Standing]:
    """How these streams stand now."""
    if guest or len(streams) == 1:
        return {stream: standing(connection, stream) for stream in streams}
    found: dict[StreamId, Standing] = {}
    for start in range(0, len(streams), _CHUNK):
        chunk = streams[start : start + _CHUNK]
        statement = f"{_STANDINGS} FROM (VALUES {', '.join(['(?, ?)'] * len(chunk))}) AS one"
        parameters = tuple(part for stream in chunk for part in stream)
        for kind, name, last, archived in connection.exec_driver_sql(for_driver(connection, statement), parameters):
            found[StreamId(kind, name)] = Standing(last or 0, archived)
    return found


def read(
    connection: Connection, stream: StreamId, *, after: int = 0, until: int | None = None, limit: int | None = None
) -> list[Stored]:
    """The events of a stream above a version, up to another with it, in order."""
    parameters = {
        "kind": stream.aggregate_type,
        "name": stream.aggregate_id,
        "after": after,
        "until": _LAST if until is None else until,
        "size": _LAST if limit is None else limit,
    }
    return [Stored._make(row) for row in connection.execute(_READ, parameters)]


def gone(stream: StreamId, version: int, back: int = 0) -> StreamArchived:
    """The error for a stream that was archived at this version, and taken back up to another."""
    partly = f", and only its first {back} events were taken back" if back else ""
    return StreamArchived(
        f"the stream {stream} was archived at version {version}{partly}",
        stream=str(stream),
        hint="`warren events import` takes its file back into the log.",
    )


def lock(connection: Connection, streams: Iterable[StreamId]) -> None:
    """Keep others from appending to these streams until the transaction ends."""
    if connection.dialect.name != "postgresql":
        return
    keys = sorted({_key(stream) for stream in streams})
    if keys:
        listed = ", ".join(map(str, keys))
        connection.execute(text(f"SELECT pg_advisory_xact_lock(key) FROM unnest(ARRAY[{listed}]::bigint[]) AS key"))


def _key(stream: StreamId) -> int:
    digest = blake2b("\0".join(("warren", *stream)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _commit(
    connection: Connection, commit: Commit, at: dict[StreamId, int], written: _Written
) -> Appended | WarrenError:
    """Judge one commit by the versions as they are now, and note what it writes."""
    planned: dict[StreamId, int] = {}
    ends: list[int] = []
    repeats: list[list[Event[Any]] | None] = []
    events: list[list[Event[Any]]] = []
    problem: WarrenError | None = None
    for each in commit.appends:
        actual = planned.get(each.stream, at[each.stream])
        expected = to_number(each.expected)
        repeat: list[Event[Any]] | None = None
        if expected is not None and expected != actual:
            repeat = _repeated(connection, each, expected)
            problem = problem or ConcurrencyConflict(str(each.stream), expected, actual)
        elif each.known_ids or expected is None:
            repeat = _repeated(connection, each, None)
            if repeat is None and (taken := _taken(connection, each)):
                problem = problem or EventTaken(
                    f"the log has an event with the id {taken} already, so it is not appended to {each.stream}",
                    stream=str(each.stream),
                    hint="Leave the id out, and the event gets one of its own.",
                )
        repeats.append(repeat)
        events.append([seal(event, each.stream, actual + number) for number, event in enumerate(each.events, 1)])
        planned[each.stream] = actual + len(each.events)
        ends.append(planned[each.stream])
    if repeats and all(repeat is not None for repeat in repeats):
        return _again(connection, commit, [repeat or [] for repeat in repeats])
    if problem is not None or any(repeat is not None for repeat in repeats):
        return problem or conflict(commit, None)
    try:
        entries, rows = _noted(commit, events)
    except WarrenError as error:  # a payload that cannot be written
        return error
    at.update(planned)
    written.entries.extend(entries)
    written.rows.extend((commit.owner, row) for row in rows)
    written.snapshots.extend(commit.snapshots)
    return Appended(_flat(events), [entry.message for entry in entries], rows, ends)


def _noted(commit: Commit, events: Sequence[Sequence[Event[Any]]]) -> tuple[list[Entry], list[Outgoing]]:
    """What a commit writes into the log and into the outbox."""
    entries: list[Entry] = []
    rows: list[Outgoing] = []
    for each, sealed in zip(commit.appends, events, strict=True):
        for number, event in enumerate(sealed):
            message = to_message(event)
            if commit.headers:
                message.headers = commit.headers
            entries.append(
                Entry(
                    event.id,
                    event.type,
                    *each.stream,
                    event.metadata[STREAM_VERSION],
                    Origin.APPENDED,
                    commit.queue,
                    event.source,
                    event.correlation_id,
                    event.causation_id,
                    commit.exchange,
                    event.type,
                    event.timestamp.timestamp(),
                    None,
                    message,
                )
            )
            if each.row_ids:
                rows.append(
                    Outgoing(
                        each.row_ids[number],
                        Kind.EMIT,
                        commit.exchange,
                        event.type,
                        message,
                        False,
                        None,
                        commit.now,
                        order=order_of(event),
                    )
                )
    return entries, rows


def seal(event: Event[Any], stream: StreamId, version: int) -> Event[Any]:
    """The event with its place in a stream."""
    return Event(
        event.data,
        event.type,
        event.id,
        event.timestamp,
        event.source,
        *stream,
        event.version,
        event.causation_id,
        event.correlation_id,
        {**event.metadata, STREAM_VERSION: version},
    )


def _repeated(connection: Connection, each: Append, after: int | None) -> list[Event[Any]] | None:
    """The events as they are in the log, where just these were appended to the stream before, in this order."""
    ids = [event.id for event in each.events]
    if not ids:
        return None
    column = _events.c
    of_stream = select(column.event_id, column.version).where(
        column.aggregate_type == each.stream.aggregate_type,
        column.aggregate_id == each.stream.aggregate_id,
        column.version.is_not(None),
    )
    wanted = of_stream.where(column.event_id.in_(ids) if after is None else column.version > after)
    rows = connection.execute(wanted.order_by(column.version).limit(len(ids))).all()
    if [row.event_id for row in rows] != ids:
        return None
    return [seal(event, each.stream, row.version) for event, row in zip(each.events, rows, strict=True)]


def _taken(connection: Connection, each: Append) -> str | None:
    ids = [event.id for event in each.events]
    return connection.scalar(select(_events.c.event_id).where(_events.c.event_id.in_(ids)).limit(1)) if ids else None


def _again(connection: Connection, commit: Commit, events: list[list[Event[Any]]]) -> Appended:
    """It was committed before: by this very call, whose rows then still wait, or by an earlier one."""
    row_ids = [row_id for each in commit.appends for row_id in each.row_ids]
    rows = outbox.read(connection, row_ids) if row_ids else []
    ends = [sealed[-1].metadata[STREAM_VERSION] for sealed in events]
    return Appended(_flat(events), [to_message(event) for event in _flat(events)], rows, ends)


def _flat(events: Iterable[Sequence[Event[Any]]]) -> list[Event[Any]]:
    return [event for sealed in events for event in sealed]
