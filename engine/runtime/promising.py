"""The outbox of an application: events that are published with its own transaction.

    async with sessions() as session, session.begin():
        session.add(order)
        engine.outbox(session).add(OrderPlaced(order_id=order.id))

Rows have no owner, so any worker publishes them. The engine is quicker: it hears when a
transaction has ended, claims the rows that were committed, and publishes them itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from engine.brokers.base import Broker
from engine.errors import BrokerError, DatabaseError
from engine.model.delay import check_delay
from engine.model.event import Event, EventData
from engine.model.message import Message
from engine.model.outgoing import Kind, Outgoing, order_of
from engine.model.request import refuse_request
from engine.runtime import clock
from engine.runtime.ids import new_id
from engine.runtime.relay import Relay, RemoveSection
from engine.storage.database import Database
from engine.storage.liveness import Liveness

if TYPE_CHECKING:
    from engine.storage.guest import Guest, GuestSession

D = TypeVar("D", bound=EventData)

logger = logging.getLogger("warren.application")

#: Seconds that a closing engine waits for what it is publishing; the rest is left to the workers.
PATIENCE = 5.0
#: Seconds between two looks for rows that this engine claimed and does not remember.
LOOK_INTERVAL = 10.0


class Outbox:
    """Where events are put in one transaction of the application. Made by `Engine.outbox(session)`."""

    def __init__(
        self,
        guest: Guest,
        session: GuestSession,
        exchange: str,
        compose: Callable[..., tuple[Event[Any], Message]],
        *,
        logged: bool = True,
    ) -> None:
        self._guest = guest
        self._session = session
        self._exchange = exchange
        self._compose = compose
        self._logged = logged

    def add(
        self,
        data: D,
        *,
        delay: float = 0.0,
        cancellable: bool = True,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        id: str | None = None,
    ) -> Event[D]:
        """Have an event published if, and only if, the session's transaction commits; `delay` seconds from now.

        Raises `UsageError` when the session's database is not the one that the workers relay from. An asynchronous
        session on PostgreSQL raises it when it flushes, before anything is committed.
        """
        return self._put(Kind.EMIT, None, data, delay, cancellable, correlation_id, causation_id, id)

    def send(
        self,
        data: D,
        *,
        queue: str,
        delay: float = 0.0,
        cancellable: bool = True,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        id: str | None = None,
    ) -> Event[D]:
        """As `add`, to exactly one queue. It is kept until the queue takes it."""
        return self._put(Kind.SEND, queue, data, delay, cancellable, correlation_id, causation_id, id)

    def _put(
        self,
        kind: Kind,
        queue: str | None,
        data: D,
        delay: float,
        cancellable: bool,
        correlation_id: str | None,
        causation_id: str | None,
        id: str | None,
    ) -> Event[D]:
        if queue is None:
            refuse_request(data, "published", "outbox(session).send")
        cancellable = cancellable and check_delay(delay) > 0
        event, message = self._compose(
            data, id=id, correlation_id=correlation_id, causation_id=causation_id, cancellable=cancellable
        )
        now = clock.now()
        exchange, key = (self._exchange, event.type) if queue is None else ("", queue)
        due = now + delay if delay > 0 else None
        logged = event if self._logged and kind is Kind.EMIT else None
        order = order_of(event) if kind is Kind.EMIT and due is None else None
        row = Outgoing(new_id(), kind, exchange, key, message, queue is not None, due, now, logged, order)
        self._guest.put(self._session, row, cancellable=event.id if cancellable else None)
        return event


class Promises:
    """Publishes what the application committed, as soon as its transaction has ended. Best effort: workers do the rest.

    `prepare` declares what the broker needs for delays.
    """

    def __init__(
        self, broker: Broker, database: Database, app: str, prepare: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._broker = broker
        self._database = database
        self._app = app
        self._prepare = prepare
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Queue[Sequence[str]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._liveness: Liveness | None = None
        self._relay: Relay | None = None
        self._taken = 0
        self._settled = asyncio.Event()
        self._settled.set()
        self._opening = asyncio.Lock()

    def ended(self, ids: Sequence[str], when: Sequence[float]) -> None:
        """A transaction with these rows has ended; from any thread. Look for them so many seconds from now."""
        try:
            self._loop.call_soon_threadsafe(self._expect, ids, when)
        except RuntimeError:  # the loop is closed: the workers will find the rows
            return

    async def relay(self) -> Relay | None:
        """What publishes this engine's own rows, for rows that are written under `owner`; None while there is no broker."""
        if self._relay is None:
            self._start()
            try:
                async with self._opening:
                    await self._open()
            except BrokerError as error:
                logger.warning("events are left to the workers to be published: %s", error.message)
        return self._relay

    def _start(self) -> None:
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._run(), name="warren-outbox")]

    def _expect(self, ids: Sequence[str], when: Sequence[float]) -> None:
        self._start()
        for seconds in when:
            self._taken += 1
            self._settled.clear()
            if seconds:
                self._loop.call_later(seconds, self._ended.put_nowait, ids)
            else:
                self._ended.put_nowait(ids)

    async def _run(self) -> None:
        while True:
            groups = [await self._wait()]
            while not self._ended.empty():
                groups.append(self._ended.get_nowait())
            try:
                async with self._opening:
                    relay = await self._open()
                if ids := list(dict.fromkeys(row_id for group in groups for row_id in group)):
                    await relay.claim(ids)
                await relay.find_strays()
            except DatabaseError as error:
                logger.warning("the outbox cannot be read, its messages are left to the workers: %s", error.message)
            except Exception:
                logger.exception("messages of the outbox are left to the workers")
            self._taken -= len([group for group in groups if group])
            if not self._taken:
                self._settled.set()

    async def _wait(self) -> Sequence[str]:
        """The next rows; none when it is time to look for strays."""
        try:
            async with asyncio.timeout(LOOK_INTERVAL):
                return await self._ended.get()
        except TimeoutError:
            return ()

    async def _open(self) -> Relay:
        if self._relay is not None:
            return self._relay
        await self._prepare()
        if self._liveness is None:
            name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
            self._liveness = await Liveness.open(self._database, name)
        self._relay = relay = Relay(
            self._broker,
            self._database,
            app=self._app,
            owner=self._liveness.worker or "",
            alive=self._liveness.alive,
            redeclare=self._prepare,
        )
        relay.confirmed = self._database.writer.add(RemoveSection(relay))
        self._tasks.append(asyncio.create_task(relay.run(), name="warren-relay"))
        return relay

    async def flushed(self) -> None:
        """Wait until what was committed is published, or left to the workers."""
        await self._settled.wait()
        if self._relay is not None:
            await self._relay.flushed()

    async def close(self) -> None:
        """Publish what was committed, for a while, and leave the rest to the workers."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.flushed()
        except TimeoutError:
            logger.warning("messages of the outbox are left to the workers, the broker did not take them")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._liveness is not None:
            await self._liveness.close()
