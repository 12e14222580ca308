"""Warren in an application: publish events from any asyncio program."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from engine.brokers import TIMEOUT as CALL_TIMEOUT
from engine.brokers import open_broker
from engine.brokers.base import Broker
from engine.errors import DatabaseError, UsageError
from engine.model import delay as delays
from engine.model import headers as names
from engine.model.codec import to_message
from engine.model.event import Event, EventData, new_event
from engine.model.message import Message, Publication
from engine.model.request import refuse_request
from engine.model.topology import Exchange, Topology, delay_topology
from engine.runtime import clock, tracing
from engine.runtime.ids import new_id
from engine.runtime.messaging import Messaging
from engine.runtime.publishing import Letter, publish_all
from engine.runtime.silence import silent
from engine.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from engine.model.aggregate import Aggregate
    from engine.runtime.event_log import EventLog
    from engine.runtime.places import Waiting
    from engine.runtime.promising import Outbox, Promises
    from engine.runtime.repository import Repository
    from engine.storage.database import Database
    from engine.storage.guest import AwaitedSession, Guest, GuestSession
    from engine.storage.writer import Inlet

A = TypeVar("A", bound="Aggregate")
D = TypeVar("D", bound=EventData)
T = TypeVar("T")

logger = logging.getLogger("warren.application")

#: Seconds without a confirm until a publish is given up, and until a write to the database is.
TIMEOUT = 20.0
#: Seconds between two tries to open a database that was not there when the engine started.
RETRY_INTERVAL = 2.0


class Engine(Messaging):
    """What an application publishes with; one for the whole program.

        async with Engine.from_settings() as engine:
            await engine.publish(OrderPlaced(order_id="o-1", total=Decimal("9.50")))

    A publish returns once the broker has confirmed the event; that is, once it survives a crash. Through an
    outage it waits and tries again, for `timeout` seconds.

    `database=False` opens no database: then there is no outbox, and what is delayed cannot be cancelled.
    `broker`, a connected one, takes the place of the one that the settings name, and stays open.
    """

    def __init__(
        self, settings: Settings, *, database: bool = True, timeout: float = TIMEOUT, broker: Broker | None = None
    ) -> None:
        super().__init__()
        self.settings = settings
        self.timeout = timeout
        self._wants_database = database
        self._lent = broker
        self._broker: Broker | None = None
        self._database: Database | None = None
        self._trouble: DatabaseError | None = None
        self._promises: Promises | None = None
        self._guest: Guest | None = None
        self._appends: Inlet[Waiting] | None = None
        self._retrying: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._declaring = asyncio.Lock()
        self._delays_declared = False

    @classmethod
    def from_settings(
        cls, settings: Settings | None = None, *, database: bool = True, timeout: float = TIMEOUT
    ) -> Self:
        """An engine for these settings, else for those of the environment and the project one stands in."""
        return cls(settings or Settings.load(), database=database, timeout=timeout)

    async def __aenter__(self) -> Self:
        if self.settings.traces:
            tracing.enable()
        broker = self._lent
        if broker is None:
            timeout = min(CALL_TIMEOUT, self.timeout)
            broker = open_broker(self.settings.broker_url, app=self.settings.app, timeout=timeout)
            await broker.connect()
        self._broker = broker
        try:
            await self._declare_exchange()
            if self._wants_database:
                try:
                    await self._open_database()
                except DatabaseError as error:
                    # Publishing does not need it; what does says so while it is away.
                    logger.warning("the engine has no database for now: %s", error.message)
                    self._retrying = asyncio.create_task(self._open_later())
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def broker(self) -> Broker:
        """The connected broker; raises `UsageError` outside `async with`."""
        if self._broker is None:
            raise UsageError("The engine is not open", hint="Use it as: async with Engine.from_settings() as engine.")
        return self._broker

    async def publish(
        self,
        data: D,
        *,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        delay: float = 0.0,
        cancellable: bool | None = None,
        id: str | None = None,
    ) -> Event[D]:
        """Publish one event, `delay` seconds from now (ten years at most); returns it once confirmed.

        A delayed event can be cancelled by its id unless `cancellable` is False or the engine has no database.
        Nobody subscribed is no error. Raises `BrokerUnavailable` or `PublishRefused` when it was not
        confirmed: it may then have arrived or not, and publishing the same id again is safe.
        """
        refuse_request(data, "published", "engine.send")
        cancellable = self._cancellable(delay, cancellable)
        event, message = self._compose(
            data, id=id, correlation_id=correlation_id, causation_id=causation_id, cancellable=cancellable
        )
        letter = Letter(event, Publication(self.settings.exchange, event.type, message, mandatory=False))
        await self._publish([letter], delay=delay, cancellable=cancellable)
        return event

    async def publish_many(
        self,
        many: Iterable[D | Event[D]],
        *,
        correlation_id: str | None = None,
        delay: float = 0.0,
        cancellable: bool | None = None,
    ) -> list[Event[D]]:
        """Publish several events in order, many in flight together; returns them once all are confirmed.

        Events that were made before, as an error has them in `unconfirmed`, are taken again under their ids.
        Nothing is sent when one of them cannot be written. Raises as `publish` does; `results` of the error
        tells for each of `events` whether it was confirmed.
        """
        cancellable = self._cancellable(delay, cancellable)
        letters: list[Letter] = []
        for each in many:
            refuse_request(each.data if isinstance(each, Event) else each, "published", "engine.send")
            event, message = self._compose(each, correlation_id=correlation_id, cancellable=cancellable)
            letters.append(Letter(event, Publication(self.settings.exchange, event.type, message, mandatory=False)))
            if len(letters) % 1000 == 0:
                await asyncio.sleep(0)  # others on this loop get their turn
        await self._publish(letters, delay=delay, cancellable=cancellable)
        return [letter.event for letter in letters]

    async def cancel(self, event: Event[Any] | str) -> bool:
        """Cancel a delayed event, by itself or its id, from any process that shares the database.

        True: it was not and will never be delivered. False: it was, or may have been, or nothing is known of
        such an event. Raises `UsageError` for an engine without a database, `DatabaseUnavailable`.
        """
        from engine.storage import delayed

        database = await self._need_database("An event is cancelled in the database")
        event_id, now = event.id if isinstance(event, Event) else event, clock.now()
        return await self._write(database, lambda connection: delayed.cancel(connection, event_id, now))

    def outbox(self, session: GuestSession) -> Outbox:
        """The outbox in a transaction of the application: `engine.outbox(session).add(event)`.

        For `Session` and `AsyncSession` of SQLAlchemy and SQLModel, in any thread, and for a Core `Connection`.
        Raises `UsageError` for an engine without a database, and `DatabaseError` when it could not be opened.
        """
        from engine.runtime.promising import Outbox

        if self._guest is None:
            raise self._trouble or self._without("The outbox lies in the database")
        return Outbox(self._guest, session, self.settings.exchange, self._compose, logged=self.settings.event_log)

    async def flushed(self) -> None:
        """Wait until what was committed with the outbox and the log is published, or left to the workers."""
        if self._promises is not None:
            await self._promises.flushed()

    def event_log(self, session: AwaitedSession | None = None) -> EventLog:
        """The log of events, each call in a transaction of its own, or all in the session's; raises as `outbox` does."""
        from engine.runtime.event_log import EventLog
        from engine.runtime.places import Alone, WithinSession

        named = {"source": self.settings.app, "exchange": self.settings.exchange}
        if session is None:
            return EventLog(Alone(self._appending, timeout=self.timeout, **named))
        if self._guest is None:
            raise self._trouble or self._without("The log lies in the database")
        return EventLog(WithinSession(self._guest, session, **named))

    def repository(self, aggregate: type[A], session: AwaitedSession | None = None) -> Repository[A]:
        """The aggregates of a class, loaded and saved in transactions of their own, or in the session's. As `event_log`."""
        from engine.runtime.repository import Repository

        return Repository(aggregate, self.event_log(session))

    async def publish_messages(
        self, messages: Sequence[tuple[str, Message]], *, delay: float = 0.0, mandatory: bool = False
    ) -> None:
        """Publish messages under their routing keys to the events exchange; raises the first error."""
        publications = [Publication(self.settings.exchange, key, message, mandatory) for key, message in messages]
        if delay > 0:
            publications = await self._planned(publications, delay)
        for answer in await self.broker.publish(publications):
            if answer is not None:
                raise answer

    def _compose(
        self,
        data: D | Event[D],
        *,
        id: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        cancellable: bool = False,
    ) -> tuple[Event[D], Message]:
        if isinstance(data, Event):
            event = data
        else:
            event = new_event(
                data,
                id=id or new_id(),
                now=clock.utc(),
                source=self.settings.app,
                correlation_id=correlation_id,
                causation_id=causation_id,
            )
        message = to_message(event)
        if cancellable:
            message.headers = {names.CANCELLABLE: True}
        if tracing.spans is not None:
            tracing.spans.inject(message)
        return event, message

    def _cancellable(self, delay: float, wanted: bool | None) -> bool:
        if not delays.check_delay(delay) or wanted is False:
            return False
        if wanted and not self._wants_database:
            raise self._without("A delayed event that can be cancelled is noted in the database")
        return self._wants_database

    async def _publish(self, letters: Sequence[Letter], *, delay: float = 0.0, cancellable: bool = False) -> None:
        broker = self.broker
        if delay > 0:
            if cancellable:
                await self._note([letter.event.id for letter in letters], clock.now() + delay)
            planned = await self._planned([letter.publication for letter in letters], delay)
            letters = [Letter(letter.event, one) for letter, one in zip(letters, planned, strict=True)]
        await publish_all(broker, letters, timeout=self.timeout)

    async def _note(self, event_ids: Sequence[str], due: float) -> None:
        """Write that these events wait, before any of them can arrive anywhere."""
        from engine.storage import delayed

        now = clock.now()

        def work(connection: Connection) -> list[str]:
            delayed.add(connection, dict.fromkeys(event_ids, due), now)
            return delayed.cancelled(connection, event_ids)

        try:
            cancelled = await self._write(await self._need_database("A delayed event is noted in the database"), work)
        except DatabaseError as error:
            error.hint += "\nWith cancellable=False a delayed event needs no database. Nothing was published."
            raise
        if cancelled:
            raise UsageError(
                f"the delayed event {cancelled[0]} was cancelled, so it cannot be published again under its id",
                hint="Nothing was published. Publish a new event.",
            )

    async def _planned(self, publications: Sequence[Publication], delay: float) -> list[Publication]:
        async with self._declaring:
            if not self._delays_declared:
                await self.broker.declare(delay_topology(self.settings.app))
                self._delays_declared = True
        now = clock.now()
        # One that can be cancelled always takes a rung: at its end it is asked whether it was.
        return [
            delays.plan(
                self.settings.app,
                one,
                now + max(delay, 2 * delays.EARLY if delays.cancellable(one.message) else 0),
                now,
            )
            for one in publications
        ]

    async def _declare_exchange(self) -> None:
        await self.broker.declare(Topology(exchanges=(Exchange(self.settings.exchange),)))

    async def _prepare(self) -> None:
        """For the relay: all that its messages may need on the broker."""
        await self._declare_exchange()
        await self.broker.declare(delay_topology(self.settings.app))

    async def _open_database(self) -> Database:
        # Imported here: an engine without a database starts sooner.
        from engine.runtime.places import AppendSection
        from engine.runtime.promising import Promises
        from engine.storage.database import Database
        from engine.storage.guest import Guest

        async with self._opening:
            if self._database is None:
                try:
                    database = await Database.open(self.settings.database_url, migrate=self.settings.migrate)
                except DatabaseError as error:
                    self._trouble = error
                    raise
                self._promises = Promises(self.broker, database, self.settings.app, self._prepare)
                self._guest = Guest(database.address, self._promises.ended)
                self._appends = database.writer.add(AppendSection())
                self._database = database
        return self._database

    async def _open_later(self) -> None:
        while self._database is None:
            await asyncio.sleep(RETRY_INTERVAL)
            with contextlib.suppress(DatabaseError):
                await self._open_database()

    async def _appending(self) -> tuple[Database, Promises, Inlet[Waiting]]:
        database = await self._need_database("The log lies in the database")
        assert self._promises and self._appends is not None  # noqa: PT018
        return database, self._promises, self._appends

    async def _need_database(self, why: str) -> Database:
        _ = self.broker
        if not self._wants_database:
            raise self._without(why)
        return self._database or await self._open_database()

    def _without(self, why: str) -> UsageError:
        _ = self.broker
        return UsageError(
            f"{why}, and this engine was made without one",
            hint="Make it with a database, the one that the workers use: Engine.from_settings(), WARREN_DATABASE.",
        )

    async def _write(self, database: Database, work: Callable[[Connection], T]) -> T:
        try:
            async with asyncio.timeout(self.timeout):
                return await database.write(work)
        except TimeoutError:
            raise silent(database, self.timeout) from None

    async def _close(self) -> None:
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.wait({self._retrying})
        promises, self._promises, self._guest = self._promises, None, None
        database, self._database = self._database, None
        if self._broker is not None:
            await self._close_messaging()
        broker, self._broker = self._broker, None
        if promises is not None:
            await promises.close()
        if database is not None:
            await database.close()
        if broker is not None and broker is not self._lent:
            await broker.close()
