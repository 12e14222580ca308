"""Where the log is read and appended to: in transactions of its own, of a handler, or of the application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from engine.errors import UsageError, WarrenError
from engine.model.event import Event, EventData, new_event
from engine.model.message import HeaderValue, Message
from engine.runtime import clock, tracing
from engine.runtime.ids import new_id
from engine.runtime.silence import silent
from engine.storage import snapshots as kept
from engine.storage import streams
from engine.storage.snapshots import Snapshot
from engine.storage.streams import Append, Appended, Commit

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from engine.runtime.context import Context
    from engine.runtime.promising import Promises
    from engine.runtime.relay import Relay
    from engine.storage.database import Database
    from engine.storage.guest import AwaitedSession, Guest
    from engine.storage.session import AsyncSession
    from engine.storage.writer import Inlet

T = TypeVar("T")


class Origins(NamedTuple):
    """What new events say of where they come from. `metadata` is for all of them."""

    correlation_id: str | None = None
    causation_id: str | None = None
    metadata: Mapping[str, Any] | None = None


class Place(Protocol):
    """What an event log needs of the transaction that it works in."""

    #: Whether a transaction of the log's own has ended when `append` returns.
    alone: bool

    def compose(self, data: EventData, origins: Origins) -> Event[Any]:
        """The event of a new payload."""

    async def append(self, appends: Sequence[Append], snapshots: Sequence[Snapshot], *, publish: bool) -> Appended:
        """Append all of this or nothing; raises a `StreamError`."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a short read."""

    async def keep(self, snapshot: Snapshot, *, anew: bool = False) -> None:
        """Write a snapshot; with `anew` in the place of whatever is there."""


def _publishing(appends: Sequence[Append], publish: bool) -> list[Append]:
    return [each._replace(row_ids=[new_id() for _ in each.events]) for each in appends] if publish else list(appends)


def _trace_headers() -> Mapping[str, HeaderValue] | None:
    if tracing.spans is None:
        return None
    carrier = Message(b"")
    tracing.spans.inject(carrier)
    return carrier.headers or None


def _composed(data: EventData, origins: Origins, source: str) -> Event[Any]:
    return new_event(
        data,
        id=new_id(),
        now=clock.utc(),
        source=source,
        correlation_id=origins.correlation_id,
        causation_id=origins.causation_id,
        metadata=origins.metadata,
    )


class Waiting(NamedTuple):
    """A commit that waits for its group."""

    commit: Commit
    future: asyncio.Future[Appended]


class AppendSection:
    """The appends that gathered while the last group was written."""

    name = "streams"

    def apply(self, connection: Connection, items: Sequence[Waiting]) -> Sequence[Appended | WarrenError]:
        return streams.append(connection, [item.commit for item in items])

    def done(self, items: Sequence[Waiting], results: Sequence[Appended | WarrenError]) -> None:
        for item, result in zip(items, results, strict=True):
            if item.future.done():
                continue
            if isinstance(result, WarrenError):
                item.future.set_exception(result)
            else:
                item.future.set_result(result)

    def failed(self, item: Waiting, error: Exception) -> None:
        if not item.future.done():
            refused = isinstance(error, IntegrityError)
            item.future.set_exception(streams.conflict(item.commit, None) if refused else error)


class Alone:
    """Each append in a transaction of its own, many of which are committed together. Made by an `Engine`."""

    alone = True

    def __init__(
        self,
        opened: Callable[[], Awaitable[tuple[Database, Promises, Inlet[Waiting]]]],
        *,
        source: str,
        exchange: str,
        timeout: float,
    ) -> None:
        self._opened = opened
        self._source = source
        self._exchange = exchange
        self._timeout = timeout

    def compose(self, data: EventData, origins: Origins) -> Event[Any]:
        return _composed(data, origins, self._source)

    async def append(self, appends: Sequence[Append], snapshots: Sequence[Snapshot], *, publish: bool) -> Appended:
        database, promises, inlet = await self._opened()
        relay = await promises.relay() if publish else None
        commit = Commit(
            _publishing(appends, publish),
            self._exchange,
            clock.now(),
            owner=None if relay is None else relay.owner,
            headers=_trace_headers(),
            snapshots=snapshots,
        )
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        # Also for a caller who has gone: what was committed is published.
        future.add_done_callback(lambda done: _hand_over(done, relay, promises))
        inlet.put(Waiting(commit, future))
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.shield(future)
        except TimeoutError:
            raise silent(database, self._timeout) from None

    async def read(self, work: Callable[[Connection], T]) -> T:
        database, _, _ = await self._opened()
        return await database.read(work)

    async def keep(self, snapshot: Snapshot, *, anew: bool = False) -> None:
        database, _, _ = await self._opened()
        await database.write(lambda connection: kept.write(connection, [snapshot], anew=anew))


def _hand_over(done: asyncio.Future[Appended], relay: Relay | None, promises: Promises) -> None:
    if done.cancelled() or done.exception() is not None:
        return
    rows = done.result().rows
    if relay is not None:
        relay.send(rows)
    elif rows:
        promises.ended([row.id for row in rows], (0.0,))


class WithinHandler:
    """In the transaction of a handler: with its own writes, its outcome and what it emits."""

    alone = False

    def __init__(self, session: AsyncSession, ctx: Context) -> None:
        self._session = session
        self._ctx = ctx

    def compose(self, data: EventData, origins: Origins) -> Event[Any]:
        return self._ctx.compose(data, metadata=origins.metadata)

    async def append(self, appends: Sequence[Append], snapshots: Sequence[Snapshot], *, publish: bool) -> Appended:
        ctx = self._ctx
        for each in appends:
            for event in each.events:
                ctx.check_emits(event.data)
        commit = Commit(appends, ctx.exchange, clock.now(), queue=ctx.queue, snapshots=snapshots)
        connection = await self._session.connection()
        done = await connection.run_sync(lambda inner: streams.one(inner, commit))
        if publish:
            ctx.take(done.events, done.messages)
        return done

    async def read(self, work: Callable[[Connection], T]) -> T:
        connection = await self._session.connection()
        return await connection.run_sync(work)

    async def keep(self, snapshot: Snapshot, *, anew: bool = False) -> None:
        await self.read(lambda connection: kept.write(connection, [snapshot], anew=anew))


class WithinSession:
    """In a transaction of the application's, with whatever session that uses."""

    alone = False

    def __init__(self, guest: Guest, session: AwaitedSession, *, source: str, exchange: str) -> None:
        self._guest = guest
        self._session: Any = session
        self._source = source
        self._exchange = exchange

    def compose(self, data: EventData, origins: Origins) -> Event[Any]:
        return _composed(data, origins, self._source)

    async def append(self, appends: Sequence[Append], snapshots: Sequence[Snapshot], *, publish: bool) -> Appended:
        commit = Commit(
            _publishing(appends, publish), self._exchange, clock.now(), headers=_trace_headers(), snapshots=snapshots
        )
        return await self._run(lambda session: self._guest.appended(session, commit))

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._run(lambda session: work(self._guest.connection(session)))

    async def keep(self, snapshot: Snapshot, *, anew: bool = False) -> None:
        await self.read(lambda connection: kept.write(connection, [snapshot], anew=anew))

    async def _run(self, work: Callable[[Session | Connection], T]) -> T:
        from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
        from sqlalchemy.orm import Session, scoped_session

        session = self._session
        if isinstance(session, scoped_session | async_scoped_session):
            session = session()
        if isinstance(session, AsyncSession | AsyncConnection):
            return await session.run_sync(work)
        if isinstance(session, Session | Connection):
            return work(session)
        raise UsageError(
            f"{type(session).__name__} is no session that the log can be written with",
            hint="Give it a Session, an AsyncSession or a connection of SQLAlchemy, or a session of SQLModel.",
        )


def aware(event: Event[Any]) -> Event[Any]:
    """The event with its time in UTC."""
    if event.timestamp.tzinfo is not None:
        return event
    return replace(event, timestamp=event.timestamp.replace(tzinfo=UTC))
