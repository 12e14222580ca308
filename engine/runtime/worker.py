"""The worker: every part of a worker process, wired here and nowhere else.

    broker ─▶ intake ─▶ claims ─▶ lanes ─▶ outcomes ─▶ relay ─▶ broker
                                              └──────▶ acks ───▶ broker

Claims, outcomes, removals from the outbox and dead letters are sections of the one group
writer: whatever gathered while the last transaction was written is the next one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from engine.brokers import open_broker
from engine.brokers.base import Broker, Subscription
from engine.errors import BrokerError, DatabaseError
from engine.model.codec import Limits
from engine.model.handler import HandlerSpec
from engine.model.message import Delivery
from engine.model.projection import ProjectionSpec
from engine.model.scheduled import ScheduleSpec
from engine.model.subjects import Role
from engine.runtime import threads, tracing
from engine.runtime.acks import Acker
from engine.runtime.balance import Balance
from engine.runtime.batches import BatchSection
from engine.runtime.claims import ClaimSection
from engine.runtime.consumer import Consumer
from engine.runtime.deadletters import DeadLetters
from engine.runtime.depends import Replaced
from engine.runtime.executor import Executor
from engine.runtime.flow import Flow
from engine.runtime.forwarder import Forwarder
from engine.runtime.hand import Hand
from engine.runtime.heartbeat import Heartbeat, Queue
from engine.runtime.housekeeper import Housekeeper
from engine.runtime.intake import take_in
from engine.runtime.job import Job
from engine.runtime.journal import Journal
from engine.runtime.keeping import let_go
from engine.runtime.outcomes import Outcome, OutcomeSection
from engine.runtime.partitions import Partitions
from engine.runtime.projector import Projector
from engine.runtime.providers import Providers
from engine.runtime.relay import Relay, RemoveSection
from engine.runtime.router import Router
from engine.runtime.routes import Routes
from engine.runtime.scheduler import Scheduler
from engine.runtime.strangers import Strangers
from engine.runtime.suspects import Suspects
from engine.runtime.valve import Valve
from engine.runtime.wanted import chosen, topology
from engine.runtime.watchdog import Watchdog
from engine.settings import Settings
from engine.storage.database import Database
from engine.storage.liveness import Liveness
from engine.storage.workers import JOURNAL
from engine.storage.writer import Inlet

#: Seconds that a database which takes nothing may delay the end, once for the last counters and once for the rest.
GOODBYE = 2.0
#: How often, a second apart, a handler is cancelled when the worker ends. The first time a lane waits for its
#: thread to return, and a session for an answer of its database.
CANCELS = 6

logger = logging.getLogger("warren.worker")


class Worker:
    """Runs handlers on a broker and a database until `stop` is called.

    `queues` restricts it to some of the handlers' queues; `concurrency` overrides what the
    handlers say; `group` names the workers that were started together; `broker`, not yet connected, takes the place of the one in the settings;
    `providers` puts functions in the place of those that `Depends` names.
    `start` raises `BrokerUnavailable`, `DatabaseUnavailable` and their
    kin when it cannot begin; once started it goes on by itself through their outages.
    """

    def __init__(
        self,
        settings: Settings,
        specs: Sequence[HandlerSpec],
        *,
        queues: Sequence[str] = (),
        concurrency: int | None = None,
        schedules: Sequence[ScheduleSpec] = (),
        projections: Sequence[ProjectionSpec] = (),
        group: str = "",
        broker: Broker | None = None,
        providers: Replaced | None = None,
    ) -> None:
        self.settings = settings
        self.specs = chosen(settings.app, specs, queues)
        self.concurrency = concurrency
        self.schedules = schedules
        self.projections = projections
        self.group = group
        self._given_broker = broker
        self._replaced = providers
        self.id = ""
        #: Whether the broker is connected, as far as is known.
        self.broker_up = False
        self.consumers: list[Consumer] = []
        self.topology = topology(settings.app, self.specs, settings.exchange, settings.journal, settings.stream)
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: list[Callable[[], Awaitable[object]]] = []

    async def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Start, work until `stop`, drain. Raises what ended it otherwise."""
        try:
            await self.start()
            if on_ready is not None:
                on_ready()
            await self._stop.wait()
            await self.drain()
        finally:
            await self.close()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Take no more messages, finish those in hand, end."""
        self._stop.set()

    async def start(self) -> None:
        """Open database and broker, declare the topology, begin to consume."""
        settings = self.settings
        if settings.traces:
            tracing.enable()
        self.database = database = await Database.open(settings.database_url, migrate=settings.migrate)
        self._closing.append(partial(database.close, GOODBYE))
        self.broker = broker = self._given_broker or open_broker(settings.broker_url, app=settings.app)
        await broker.connect()
        self.broker_up = True
        self._closing.append(broker.close)
        self.id = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self.liveness = await Liveness.open(database, self.id)
        self._closing.append(self.liveness.close)
        self.routes = Routes(database, self.specs, settings.app)
        await self.routes.open(self.liveness.alive)
        await broker.declare(self.topology)
        self._wire(database, broker)
        self._closing.append(self.providers.close)
        await self.providers.open(consumer.invoke.plan for consumer in self.consumers)
        await let_go(database, [each.queue for each in self.consumers if not each.spec.strict])
        await self.heartbeat.start()
        self._closing.append(partial(self.heartbeat.finish, GOODBYE))

        watchdog = Watchdog()
        watchdog.start()
        self._closing.append(watchdog.stop)
        self._background(self.acker.run())
        self._background(self.routes.run())
        self._background(self.relay.run())
        self._background(self.relay.sweep_regularly())
        self._background(self.suspects.run())
        self._background(self.forwarder.run())
        self._background(self.heartbeat.run())
        self._background(self.scheduler.run())
        self._background(self.housekeeper.run())
        self._background(self.projector.run())
        self._background(self.executor.run())
        await self.forwarder.start()
        await self.flow.start()
        self._background(self.flow.run())
        self._background(self.balance.run())
        self._background(self.strangers.run())
        identities = {each.queue: each.identity for each in self.consumers if each.identity is not None}
        queues = [consumer.queue for consumer in self.consumers if consumer.spec.role is not Role.QUERY]
        if self.journal is not None:
            await self.journal.start()
            queues.append(self.journal.queue)
        await self.dead_letters.start(queues, identities)
        broker.on_state = self._broker_state
        database.writer.on_state = self._database_state
        count = len(self.consumers)
        logger.info("worker %s is ready: %d %s", self.id, count, "queue" if count == 1 else "queues")

    def _wire(self, database: Database, broker: Broker) -> None:
        settings = self.settings
        self.acker = Acker()
        self.relay = Relay(
            broker,
            database,
            app=settings.app,
            owner=self.id,
            alive=self.liveness.alive,
            redeclare=lambda: broker.declare(self.topology),
        )
        self.hand = Hand(self.relay, self.acker)
        self.suspects = Suspects(database, self.consumers, self.hand.release)
        self.outcomes = outcomes = OutcomeSection(self.id, self.hand)
        claims = ClaimSection(settings.app, self.id, self.hand, self.liveness.alive)
        # Outcomes before claims: a duplicate claimed in the same group finds its record settled.
        settle = database.writer.add(outcomes)
        batches = database.writer.add(BatchSection(self.id, outcomes))
        self.relay.confirmed = database.writer.add(RemoveSection(self.relay))
        claims.inlet = self.claims = database.writer.add(claims)
        claims.suspects = self.suspects.put
        claims.strict = any(spec.strict for spec in self.specs)
        self.dead_letters = DeadLetters(
            broker, database, app=settings.app, worker=self.id, acker=self.acker, limits=self.limits
        )
        self.forwarder = Forwarder(
            broker, database, settings.app, self.dead_letters, declare_again=self.relay.declare_again
        )
        self.journal: Journal | None = None
        if settings.journal and settings.stream is None:
            self.journal = Journal(
                broker,
                database,
                app=settings.app,
                patterns=settings.journal,
                acker=self.acker,
                limits=self.limits,
                unreadable=self.dead_letters.unreadable,
            )
        self.balance = Balance(database, self.id, self.liveness.alive)
        self.flow = Flow(database, self.id, self.liveness.alive, threshold=settings.circuit)
        owned = [spec.queue_for(settings.app) for spec in self.specs]
        self.strangers = Strangers(broker, database, settings.app, self.liveness.alive, owned)
        workers = threads.for_handlers(self.specs, self.concurrency)
        self._closing.append(threads.shutdown(workers))
        self.providers = Providers(self._replaced)
        for spec in self.specs:
            consumer = Consumer(
                spec,
                app=settings.app,
                worker=self.id,
                exchange=settings.exchange,
                concurrency=self.concurrency,
                session=database.session,
                threads=workers,
                providers=self.providers,
                route=self.routes.find,
                logged=settings.event_log,
            )
            consumer.write_to(settle, batches, outcomes)
            consumer.reply_to(broker, self.hand.release)
            self.flow.add(consumer, self._valve(consumer, settle))
            self.consumers.append(consumer)
        journals = [Queue(self.journal.queue, JOURNAL, settings.journal)] if self.journal is not None else []
        self.heartbeat = Heartbeat(
            database, self.id, settings.app, self.consumers, self.group, journals, self.liveness.alive
        )
        self.scheduler = Scheduler(
            self.schedules,
            app=settings.app,
            exchange=settings.exchange,
            worker=self.id,
            database=database,
            relay=self.relay,
            alive=self.liveness.alive,
            logged=settings.event_log,
        )
        self.projector = Projector(
            self.projections, app=settings.app, worker=self.id, database=database, alive=self.liveness.alive
        )
        if self.projections:
            outcomes.grown = self.scheduler.grown = self.projector.wake
            if self.journal is not None:
                self.journal.grown = self.projector.wake
        self.executor = Executor(
            app=settings.app,
            worker=self.id,
            database=database,
            broker=broker,
            relay=self.relay,
            alive=self.liveness.alive,
        )
        self.housekeeper = Housekeeper(
            database,
            self.id,
            settings.app,
            self.liveness.alive,
            retention=settings.retention,
            event_retention=settings.event_retention,
            event_retention_of=settings.event_retention_of,
        )

    @property
    def limits(self) -> Limits:
        """What a message may be at most."""
        return Limits(size=self.settings.max_body)

    def _valve(self, consumer: Consumer, settle: Inlet[Outcome]) -> Valve | Partitions:
        ordered = consumer.ordered
        if ordered is None:
            return Valve(self.broker, consumer, self._taker(consumer), settle, self.hand.give_back)
        ordered.claim, ordered.hand = self.claims.put, self.hand
        router = Router(self.broker, consumer, self.limits, self.relay.declare_again)
        partitions = Partitions(self.broker, consumer, ordered, router, self._taker(consumer))
        self.balance.add(consumer.queue, partitions)
        return partitions

    def _taker(self, consumer: Consumer) -> Callable[[Delivery], None]:
        hand, claims, limits = self.hand, self.claims, self.limits
        ready: Callable[[Job], None] = claims.put
        if consumer.ordered is not None:
            ready = consumer.ordered.put
        elif consumer.spec.role is Role.QUERY:  # nothing is written of it: it goes to its lanes at once
            ready = consumer.ready

        def take(delivery: Delivery) -> None:
            hand.opened()
            ready(take_in(consumer, delivery, limits))

        return take

    async def drain(self) -> None:
        """Finish what is in hand: nothing of it will be delivered again."""
        logger.info("worker %s drains: %d messages in hand", self.id, self.hand.open)
        saying = asyncio.create_task(self.heartbeat.say("draining"))  # a database that is away takes its time
        try:
            async with asyncio.timeout(self.settings.drain_timeout):
                await self.scheduler.stop()
                await self.executor.stop()
                await self.projector.stop()
                await _each(consumer.subscription.cancel() for consumer in self.consumers)
                await self.hand.emptied()
                await _each(subscription.cancel() for subscription in self._own_subscriptions())
                await self.forwarder.idle()
                if self.journal is not None:
                    await self.journal.idle()
                await self.dead_letters.idle()
                await self.acker.flushed()
                await _each(each.subscription.close() for each in self.consumers if each.ordered is not None)
                await self.relay.flushed()
                await saying
        except TimeoutError:
            logger.warning(
                "%d messages were not finished within %g s and go back to their queues",
                self.hand.open,
                self.settings.drain_timeout,
            )
        finally:
            saying.cancel()
        logger.info("worker %s is drained", self.id)

    def _own_subscriptions(self) -> list[Subscription]:
        journals = [] if self.journal is None else [self.journal.subscription]
        return [self.forwarder.subscription, *journals, *self.dead_letters.subscriptions]

    async def close(self) -> None:
        """End all tasks and connections. What is not acked is delivered again, to whoever is there."""
        lanes = [lane for consumer in self.consumers for lane in consumer.lanes]
        ending = {task for task in (*self._tasks, *lanes) if not task.done()}
        for _ in range(CANCELS):
            for task in ending:
                task.cancel()
            if ending:
                _, ending = await asyncio.wait(ending, timeout=1.0)
        for close in reversed(self._closing):
            try:
                await close()
            except (BrokerError, DatabaseError) as error:
                logger.warning("while closing: %s", error.message)
        self._closing.clear()

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None and self._failure is None:
            self._failure = task.exception()
            logger.critical("a part of the worker failed, it stops: %r", self._failure)
            self._stop.set()

    def _broker_state(self, queue: str | None, error: BrokerError | None) -> None:
        what = f"queue {queue}" if queue else "the broker"
        if queue is None:
            self.broker_up = error is None
        if error is None:
            logger.warning("%s is back", what)
        else:
            logger.warning("%s is lost, trying again: %s", what, error.message)

    def _database_state(self, error: DatabaseError | None) -> None:
        if error is None:
            logger.warning("the database is back")
        else:
            logger.warning("the database does not take what is written, trying again: %s", error.message)


async def _each(work: Any) -> None:
    await asyncio.gather(*work)
