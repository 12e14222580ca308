"""The log of events as an application and its handlers use it: streams are appended to, and read.

log = engine.event_log()                        # each call in a transaction of its own
log = engine.event_log(session)                 # in the application's transaction
async def charge(event: Event[OrderPlaced], log: EventLog) -> None: ...   # in the handler's

await log.append(StreamId("account", "a-1"), AccountOpened(owner="alice"), expected=NO_STREAM)
entries = [entry async for entry in log.read(StreamId("account", "a-1"))]
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar, overload

from engine.errors import UsageError
from engine.model.codec import RAW, payloads
from engine.model.codec.logged import to_event
from engine.model.event import Event, EventData
from engine.model.stream import ExpectedVersion, StreamId, checked, to_number
from engine.runtime.places import Origins, Place, aware
from engine.storage import event_search, streams
from engine.storage.event_search import EventFilter

#: Events that are read at a time.
CHUNK = 1000

D = TypeVar("D", bound=EventData)
D_co = TypeVar("D_co", covariant=True)


@dataclass(frozen=True, slots=True)
class LogEntry(Generic[D_co]):
    """An event with its place in the log. `version` is its place in its stream, None for one that belongs to no stream.

    `logged`, in UTC, is when it was written.
    """

    position: int
    version: int | None
    event: Event[D_co]
    logged: datetime


class Append(NamedTuple):
    """What is to be appended to one stream: payloads, or events that were made before."""

    stream: StreamId
    events: Sequence[EventData | Event[Any]]
    expected: ExpectedVersion


class EventLog:
    """Made by `Engine.event_log`, or given to a handler that has a parameter of this type."""

    def __init__(self, place: Place) -> None:
        self.place = place

    async def append(
        self,
        stream: StreamId,
        *events: EventData | Event[Any],
        expected: ExpectedVersion,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        publish: bool = True,
    ) -> int:
        """Append events to a stream, and publish them unless told not to; its new version.

        `expected` is the version that the stream must be at: of its last event, from 1; `NO_STREAM` or `ANY_VERSION`. In a
        handler the ids follow from the event that it handles. An event that was made before keeps its
        own; where just these were appended here before, nothing is done. Raises `ConcurrencyConflict`, `EventTaken`,
        `StreamArchived`, `UsageError`, and, where it is not known whether it was written, `DatabaseUnavailable`.
        """
        versions = await self.append_all(
            [Append(stream, events, expected)],
            correlation_id=correlation_id,
            causation_id=causation_id,
            metadata=metadata,
            publish=publish,
        )
        return versions[0]

    async def append_all(
        self,
        appends: Iterable[Append],
        *,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        publish: bool = True,
    ) -> list[int]:
        """Append to several streams in one transaction, to all or to none; their new versions. Raises as `append` does."""
        origins = Origins(correlation_id, causation_id, metadata)
        planned = [self._planned(each, origins) for each in appends]
        if not planned:
            return []
        _refuse_twice(planned)
        done = await self.place.append(planned, (), publish=publish)
        return done.versions

    def _planned(self, wanted: Append, origins: Origins) -> streams.Append:
        stream = checked(StreamId(*wanted.stream))
        to_number(wanted.expected)
        if not wanted.events:
            raise UsageError(f"nothing is to be appended to {stream}", hint="Give it one event at least.")
        events: list[Event[Any]] = []
        known = False
        for each in wanted.events:
            if isinstance(each, Event):
                known = True
                events.append(aware(each))
            else:
                events.append(self.place.compose(each, origins))
            _check_subject(events[-1], stream)
        return streams.Append(stream, wanted.expected, events, known_ids=known)

    async def version(self, stream: StreamId) -> int:
        """The version of the last event of a stream; 0 where it has none."""
        return await self.place.read(lambda connection: streams.standing(connection, checked(stream)).version)

    @overload
    def read(
        self, stream: StreamId, *, after: int = 0, until: int | None = None
    ) -> AsyncIterator[LogEntry[dict[str, Any]]]: ...
    @overload
    def read(
        self, stream: StreamId, *models: type[D], after: int = 0, until: int | None = None
    ) -> AsyncIterator[LogEntry[D]]: ...
    async def read(
        self, stream: StreamId, *models: type[D], after: int = 0, until: int | None = None
    ) -> AsyncIterator[LogEntry[Any]]:
        """The events of a stream above a version and up to another, in order; payloads as instances of the models, else dicts.

        Raises `DecodingError` for an event that none of the models reads.
        """
        checked(stream)
        accepted = payloads(models) if models else RAW
        while True:
            found = await self.place.read(
                lambda connection, after=after: streams.read(connection, stream, after=after, until=until, limit=CHUNK)  # type: ignore[misc]
            )
            for row in found:
                logged = _utc(row.recorded)
                event = to_event(row.body, accepted, id=row.event_id, type=row.event_type, now=logged)
                yield LogEntry(row.position, row.version, event, logged)
            if len(found) < CHUNK:
                return
            after = found[-1].version

    async def read_all(
        self,
        *,
        after: int = 0,
        types: Sequence[str] | None = None,
        stream: StreamId | None = None,
        correlation_id: str | None = None,
    ) -> AsyncIterator[LogEntry[dict[str, Any]]]:
        """All that the log has above a position, in order and none left out, up to its present end.

        `types` are event types or topic patterns. Go on with `after=` the position of the last entry.
        """
        wanted = EventFilter(
            types=types,
            aggregate_type=stream and stream.aggregate_type,
            aggregate_id=stream and stream.aggregate_id,
            in_stream=None if stream is None else True,
            correlation_id=correlation_id,
        )
        while True:
            found, after = await self.place.read(
                lambda connection, after=after: event_search.read_on(connection, wanted, after=after, limit=CHUNK)  # type: ignore[misc]
            )
            for detail in found:
                row = detail.row
                logged = _utc(row.recorded)
                event = to_event(detail.message.body, RAW, id=row.event_id, type=row.event_type, now=logged)
                yield LogEntry(row.position, row.version, event, logged)
            if len(found) < CHUNK:
                return


def _check_subject(event: Event[Any], stream: StreamId) -> None:
    """An event that says what it is about must not go to the stream of something else."""
    if event.aggregate_id is not None and event.aggregate_type is not None:
        about = StreamId(event.aggregate_type, event.aggregate_id)
        if about != stream:
            raise UsageError(f"{event.type} is about {about}, so it does not belong to the stream {stream}")


def _refuse_twice(planned: Sequence[streams.Append]) -> None:
    seen: set[str] = set()
    for event in (event for each in planned for event in each.events):
        if event.id in seen:
            raise UsageError(
                f"{event.type} {event.id} is to be appended twice", hint="Each event has one place in the log."
            )
        seen.add(event.id)


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
