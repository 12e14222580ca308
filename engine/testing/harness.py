"""The harness: handlers under test, run by a real worker, at a time that the test decides.

    async with Harness(charge, refund) as harness:
        await harness.publish(OrderPlaced(order_id="o-1", total=Decimal("9.50")))
        await harness.settle()                       # until nothing moves any more
        assert harness.handled(charge)[0].data.order_id == "o-1"
        await harness.advance(seconds=60)            # retries and delays come due, nobody waits
        harness.dead_letters(count=0)

It is the pipeline of `warren worker`, on the embedded broker and SQLite in a folder that is
removed in the end, with a clock that stands still until it is moved.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from engine.brokers.embedded import EmbeddedBroker
from engine.errors import UsageError
from engine.model.codec import to_message
from engine.model.event import Event, EventData, new_event
from engine.model.handler import assign_queues
from engine.model.message import Message
from engine.model.request import Request
from engine.model.stats import HandlerStats
from engine.runtime.application import Engine
from engine.runtime.ids import new_id
from engine.runtime.messaging import REQUEST_TIMEOUT
from engine.runtime.worker import Worker
from engine.settings import Project, Settings
from engine.storage.database import Database
from engine.storage.failure_search import Filter, search
from engine.storage.failures import FailureRow
from engine.testing.asking import ask
from engine.testing.clock import Clock
from engine.testing.gathering import Named, find, gather, load
from engine.testing.story import Retry, Story

__all__ = ["Clock", "Harness", "Unsettled", "load"]

T = TypeVar("T")
R = TypeVar("R")
D = TypeVar("D", bound=EventData)

#: Dead letters that a harness reads back.
_MOST_DEAD = 100_000


class Unsettled(AssertionError):
    """Messages still moved when the harness's patience was over."""


class Harness:
    """Runs handlers within a test. Use it as `async with Harness(…) as harness`.

    `handlers`: decorated functions (also of schedules), modules, files by path; without any, what
    the project has that one stands in. `providers` puts functions in the place of those that `Depends` names. `clock` is
    where time begins, by default now. `patience` is in real seconds, `settings` are those of
    `engine.Settings`, such as `database="postgresql://…"`. Files lie in `folder`, else in a
    temporary one. Raises `PluginError` and `UsageError` for handlers that cannot be.
    """

    def __init__(
        self,
        *handlers: Named | Iterable[Named],
        clock: Clock | datetime | float | None = None,
        providers: Mapping[Callable[..., Any], Callable[..., Any]] | None = None,
        folder: Path | None = None,
        patience: float = 10.0,
        app: str = "test",
        **settings: Any,
    ) -> None:
        self.clock = clock if isinstance(clock, Clock) else Clock(clock)
        self.specs, self._schedules, self._projections = gather(handlers, app)
        self.story = Story(self.specs, self.clock.now)
        self._app = app
        self._queues = assign_queues(app, self.specs)
        self._providers = providers or {}
        self._folder = folder
        self._patience = patience
        self._settings = settings
        self._turned = asyncio.Event()
        self._dead: list[FailureRow] = []
        self._closing = ExitStack()
        self._broker: EmbeddedBroker
        self._worker: Worker | None = None
        self._running: asyncio.Task[None]
        #: Events that wait for their time, as of the last `settle`.
        self.waiting = 0

    async def __aenter__(self) -> Self:
        if self._worker is not None:
            raise UsageError("this harness was used before", hint="Make a new one for each test.")
        with ExitStack() as opened:
            opened.enter_context(self.clock.installed())
            settings = self._made_settings(self._folder or Path(opened.enter_context(_temporary_folder())))
            self._broker = EmbeddedBroker(
                Path(settings.broker.removeprefix("embedded://")), app=self._app, durable=False, clock=self.clock.now
            )
            self._broker.on_turn = self._turned.set
            self._worker = worker = Worker(
                settings,
                self.specs,
                schedules=self._schedules,
                projections=self._projections,
                broker=self._broker,
                providers=self._providers,
            )
            ready = asyncio.Event()
            self._running = asyncio.create_task(worker.run(ready.set), name="worker of the harness")
            try:
                await self._while_running(ready.wait())
                worker.outcomes.observer = self.story.observe
                for consumer in worker.consumers:
                    consumer.observe(self.story.answered)
                if "circuit" not in self._settings:
                    _switch_off(worker)
                #: An `engine.Engine` on the same broker, for code under test that publishes.
                self.engine = await Engine(settings, broker=self._broker).__aenter__()
                self.engine.patience = self._patience
            except BaseException:
                await self._end()
                raise
            self._closing = opened.pop_all()
        return self

    def _made_settings(self, folder: Path) -> Settings:
        given: dict[str, Any] = {
            "app": self._app,
            "broker": f"embedded://{folder / 'broker.db'}",
            "database": f"sqlite:///{folder / 'warren.db'}",
            "drain_timeout": self._patience,
            **self._settings,
        }
        if not given["broker"].startswith("embedded://"):
            raise UsageError("a harness runs on the embedded broker", hint="Leave out broker=.")
        return Settings(project=Project(folder, folder, {}, None, self._app), **given)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._closing:
            await self.engine.__aexit__(None, None, None)
            if error is None:
                self.worker.stop()
                await self._running
            else:
                await self._end()

    async def _end(self) -> None:
        """End at once; whatever the worker says is second to the error that is under way."""
        self._running.cancel()
        await asyncio.wait([self._running])
        if not self._running.cancelled():
            self._running.exception()

    @property
    def worker(self) -> Worker:
        """The worker; raises `UsageError` outside `async with`."""
        if self._worker is None:
            raise UsageError("the harness is not open", hint="Use it as: async with Harness(…) as harness.")
        return self._worker

    @property
    def database(self) -> Database:
        """The worker's database, which `session` parameters write to; the user's own tables go there too."""
        return self.worker.database

    async def sql(self, statement: str, *parameters: Any) -> list[Any]:
        """Run one statement of SQL on the database and commit it; its rows, if it gives any."""

        def work(connection: Any) -> list[Any]:
            result = connection.exec_driver_sql(statement, parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

        return await self.database.write(work)

    # --- acting -----------------------------------------------------------------------------

    async def publish(
        self,
        event: EventData | str,
        data: Mapping[str, Any] | None = None,
        *,
        delay: float = 0.0,
        id: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
    ) -> Event[Any]:
        """Publish an event, or one by type and payload as another program would: `publish("order.placed", {…})`."""
        made: Event[Any]
        if isinstance(event, str):
            made = Event(
                dict(data or {}),
                event,
                id or new_id(),
                self.clock.utc(),
                correlation_id=correlation_id,
                causation_id=causation_id,
            )
        else:
            made = new_event(
                event,
                id=id or new_id(),
                now=self.clock.utc(),
                source=self._app,
                correlation_id=correlation_id,
                causation_id=causation_id,
            )
        await self.publish_message(made.type, to_message(made), delay=delay)
        return made

    async def publish_message(self, routing_key: str, message: Message | bytes, *, delay: float = 0.0) -> None:
        """Publish a message as it is, readable or not; bytes are a body without properties."""
        whole = message if isinstance(message, Message) else Message(message)
        self.story.tell(f"published  {routing_key} {whole.message_id or 'without an id'}")
        await self.engine.publish_messages([(routing_key, whole)], delay=delay)

    async def send(self, command: D, *, queue: str | None = None, id: str | None = None) -> Event[D]:
        """Send a command to its handler, which nobody waits for."""
        sent = await self.engine.send(command, queue=queue, id=id)
        self.story.tell(f"sent       {sent.type} {sent.id}")
        return sent

    async def request(self, request: Request[R], *, timeout: float = REQUEST_TIMEOUT) -> R:
        """Ask a query or command of its handler; the reply, or what `Engine.request` raises.

        Its time-out is on the clock of the harness, which is moved as far as retries need; nobody waits really.
        """
        self.story.tell(f"requested  {type(request).__warren_type__}")
        return await self._while_running(ask(self.engine, request, timeout, self.clock, self.settle, self._due))

    async def settle(self) -> None:
        """Wait until every message is handled, dead, or waits for its time.

        Raises `Unsettled` after `patience` real seconds, and what ended the worker if anything did.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self._while_running(self._settle())
        except TimeoutError:
            raise Unsettled(self.story.text(self._stuck())) from None

    async def advance(
        self, *, seconds: float = 0.0, minutes: float = 0.0, hours: float = 0.0, days: float = 0.0
    ) -> None:
        """Move the clock so far, stopping wherever a retry, a delay or a schedule comes due. Takes no real time."""
        span = seconds + 60 * minutes + 3600 * hours + 86_400 * days
        if span < 0:
            raise UsageError("time does not go backwards")
        end = self.clock.now() + span
        await self.settle()
        while (due := await self._due(ticks=True)) is not None and due <= end:
            self.clock.move_to(due)
            await self.settle()
        self.clock.move_to(end)
        await self.settle()

    async def finish(self, *, within: float = 7 * 86_400.0) -> None:
        """Move the clock until no message waits any more: every retry, every delay has come due.

        Raises AssertionError when something still waits after `within` seconds of that clock.
        """
        end = self.clock.now() + within
        await self.settle()
        while (due := await self._due()) is not None:
            if due > end:
                raise AssertionError(self.story.text(f"{self.waiting} messages still wait after {within:g} s"))
            tick = self.worker.scheduler.soonest
            self.clock.move_to(due if tick is None else min(due, tick))
            await self.settle()

    # --- looking ----------------------------------------------------------------------------

    def handled(self, handler: Callable[..., Any] | str | None = None, *, count: int | None = None) -> list[Event[Any]]:
        """The events that a handler (or any) handled, in order.

        With `count`, here and below: raises an AssertionError that tells the whole story unless it is so many.
        """
        queue = self._queue(handler)
        found = [each.event for each in self.story.handled if each.event is not None and queue in (None, each.queue)]
        return self._counted(found, count, f"events were handled{_by(handler)}")

    def emitted(self, kind: type[EventData] | str | None = None, *, count: int | None = None) -> list[Event[Any]]:
        """The events that handlers emitted and committed: of a class, of a type or topic pattern, or all."""
        of = "" if kind is None else f" of {kind if isinstance(kind, str) else kind.__name__}"
        return self._counted(self.story.events(kind), count, f"events{of} were emitted")

    def retried(self, handler: Callable[..., Any] | str | None = None, *, count: int | None = None) -> list[Retry]:
        """The failed attempts of a handler (or any) that another attempt follows, in order."""
        queue = self._queue(handler)
        found = [retry for owner, retry in self.story.retried if queue in (None, owner)]
        return self._counted(found, count, f"attempts were to be repeated{_by(handler)}")

    def dead_letters(
        self, handler: Callable[..., Any] | str | None = None, *, count: int | None = None
    ) -> list[FailureRow]:
        """The dead letters of a handler (or any) as an operator sees them, in order, as of the last `settle`."""
        queue = self._queue(handler)
        found = [row for row in self._dead if queue in (None, row.queue)]
        return self._counted(found, count, f"messages were dead-lettered{_by(handler)}")

    def stats(self, handler: Callable[..., Any] | str) -> HandlerStats:
        """What the worker counted for a handler: also duplicates, and stale copies."""
        queue = self._queue(handler)
        return next(consumer.stats.snapshot() for consumer in self.worker.consumers if consumer.queue == queue)

    # --- within -----------------------------------------------------------------------------

    def _queue(self, handler: object) -> str | None:
        return None if handler is None else find(self._queues, handler)

    def _counted(self, found: list[T], count: int | None, what: str) -> list[T]:
        if count is not None and len(found) != count:
            raise AssertionError(self.story.text(f"{len(found)} {what}, where {count} were to be"))
        return found

    async def _settle(self) -> None:
        relay = self.worker.relay
        while True:
            if self._schedules:
                await self.worker.scheduler.settle_due()
            await self.engine.flushed()
            await relay.flushed()
            self._turned.clear()
            standing = await self._broker.standing()
            if standing.busy:
                # Whatever moves ends in a transaction of the broker: an ack, a publish, an expiry.
                await self._turned.wait()
            elif not relay.backlog and not await relay.sweep():
                break
        if self._projections:
            await self.worker.projector.settle()
        self.waiting = standing.waiting
        rows = await self.database.read(lambda connection: search(connection, Filter(), limit=_MOST_DEAD))
        self._dead = sorted(rows, key=lambda row: row.id)

    async def _due(self, *, ticks: bool = False) -> float | None:
        """When the next message comes due, or the next tick of a schedule."""
        worker = self.worker
        moments = [(await self._broker.standing()).due]
        if ticks:
            moments += [worker.scheduler.soonest, worker.projector.soonest]
        return min((moment for moment in moments if moment is not None), default=None)

    async def _while_running(self, work: Coroutine[Any, Any, T]) -> T:
        """Await this, unless the worker ends before; raises what ended it."""
        task = asyncio.create_task(work)
        try:
            await asyncio.wait({task, self._running}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await self._running
                raise UsageError("the worker of the harness has ended", hint="Nothing but the harness may stop it.")
            return task.result()
        finally:
            task.cancel()

    def _stuck(self) -> str:
        counts = [(each.name, each.stats.in_flight) for each in self.worker.consumers if each.stats.in_flight]
        hands = ", ".join(f"{name} has {count} in hand" for name, count in counts)
        return (
            f"after {self._patience:g} s something still moves: {hands or 'nothing is in a handler, look at the logs'}"
        )


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="warren-harness-", ignore_cleanup_errors=True)


def _switch_off(worker: Worker) -> None:
    """Keep all circuits closed: a test that publishes what fails is not to be paused."""
    for consumer in worker.consumers:
        if consumer.breaker is not None:
            consumer.breaker.threshold = 0


def _by(handler: object) -> str:
    if handler is None:
        return ""
    return f" by {handler if isinstance(handler, str) else getattr(handler, '__name__', handler)}"
