"""One handler's queue in a worker: how its messages are run, and all that is needed for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from engine.brokers.base import Broker, Subscription
from engine.model.deadletter import fingerprint
from engine.model.event import Event
from engine.model.handler import DEFAULT_BATCH, DEFAULT_CONCURRENCY, HandlerSpec, default_prefetch
from engine.model.partition import key_text
from engine.model.retry import RetryPolicy
from engine.model.stats import HandlerStats
from engine.model.subjects import Role
from engine.runtime.acks import ack_group
from engine.runtime.answering import Answerer
from engine.runtime.batches import Batches, BatchOutcome
from engine.runtime.binding import bind
from engine.runtime.failing import Failing
from engine.runtime.job import Job
from engine.runtime.keys import Identity, SerialKey
from engine.runtime.lanes import BatchLanes, Lanes
from engine.runtime.ordered import Ordered
from engine.runtime.outcomes import Outcome, OutcomeSection
from engine.runtime.providers import Providers
from engine.runtime.running import Runner
from engine.runtime.serial import Serial

if TYPE_CHECKING:
    from engine.runtime.flow import Breaker
    from engine.storage.session import AsyncSession
    from engine.storage.writer import Inlet


#: Messages of one partition that a worker holds at least, where the handler's prefetch is as large.
LEAST_OF_A_PARTITION = 16


class Consumer:
    """One handler at work. The worker sets `subscription`, and calls `write_to`, before the first message arrives.

    `ready` takes a claimed job, to be run by a lane; `identity` reads the idempotency key of
    an event, None where its id will do.
    """

    subscription: Subscription
    #: Of a handler with partitions: the text of an event's key.
    text_of: Callable[[Event[Any]], str | None]
    breaker: Breaker | None = None

    def __init__(
        self,
        spec: HandlerSpec,
        *,
        app: str,
        worker: str,
        exchange: str,
        concurrency: int | None,
        session: Callable[[Callable[[float], None], Callable[[float], None]], AsyncSession],
        threads: Executor,
        providers: Providers,
        route: Callable[[str], str | None] = lambda _type: None,
        logged: bool = True,
    ) -> None:
        self.spec = spec
        self.name = spec.name
        self.queue = spec.queue_for(app)
        self.policy = spec.retry or RetryPolicy()
        self.stats = HandlerStats()
        self.invoke = bind(spec, replaced=providers.replaced)
        at_a_time = (spec.batch or DEFAULT_BATCH) if self.invoke.is_batch else 1
        # One batch at a time unless said otherwise: so they are large, and in order.
        self.concurrency = concurrency or spec.concurrency or (1 if self.invoke.is_batch else DEFAULT_CONCURRENCY)
        self.prefetch = spec.prefetch or default_prefetch(self.concurrency * at_a_time, spec.timeout)
        self.acks = ack_group(self.prefetch)
        self.identity: Identity | None = None
        if spec.idempotency_key is not None:
            self.identity = Identity(spec.idempotency_key, self.invoke.payloads)
        self.failing = Failing(
            self.policy,
            handler=self.name,
            queue=self.queue,
            app=app,
            worker=worker,
            replies=spec.role is Role.COMMAND,
        )
        self.runner = runner = (Answerer if spec.role is Role.QUERY else Runner)(
            self.invoke,
            self.failing,
            self.stats,
            queue=self.queue,
            app=app,
            worker=worker,
            exchange=exchange,
            session=session,
            threads=threads,
            common=providers.given,
            route=route,
            logged=logged,
        )
        self._batches: Batches | None = None
        self._serial: Serial | None = None
        #: The lines of a handler with partitions, in front of the claims.
        self.ordered: Ordered | None = None
        if self.invoke.is_batch:
            self._batches = Batches(runner)
            self._lanes: Lanes = BatchLanes(
                self.queue, self.concurrency, self._batches.run, size=at_a_time, wait=spec.batch_wait
            )
        elif spec.partitions and spec.key is not None:
            read = SerialKey(spec.key)
            self.text_of = lambda event: key_text(read(event))
            self.ordered = Ordered(
                self.queue,
                self.concurrency,
                runner.run,
                lambda job: self.text_of(runner.event(job)),
                strict=spec.strict,
            )
            self._lanes = self.ordered.lanes
            self.prefetch = max(-(-self.prefetch // spec.partitions), min(self.prefetch, LEAST_OF_A_PARTITION))
            self.acks = ack_group(self.prefetch)
        elif spec.key is not None:
            self._serial = Serial(self.queue, self.concurrency, runner.run, self._key_of(SerialKey(spec.key)))
            self._lanes = self._serial.lanes
        else:
            self._lanes = Lanes(self.queue, self.concurrency, runner.run)
        self.ready: Callable[[Job], None] = self._lanes.put if self._serial is None else self._serial.put
        if self.ordered is not None:
            self.ready = self.ordered.ready
        self.fail = self.failing.fail

    def _key_of(self, read: SerialKey) -> Callable[[Job], Hashable]:
        return lambda job: read(self.runner.event(job))

    def write_to(self, settle: Inlet[Outcome], batches: Inlet[BatchOutcome], outcomes: OutcomeSection) -> None:
        """Where outcomes go."""
        self.runner.settle = self.failing.settle = settle
        self.runner.outcomes = outcomes
        if self.ordered is not None:
            self.ordered.settle = settle
        if self._batches is not None:
            self._batches.inlet = batches

    def reply_to(self, broker: Broker, release: Callable[[Job], None]) -> None:
        """Where the replies of a query handler go, and what it calls when it is done with one."""
        if isinstance(self.runner, Answerer):
            self.runner.broker, self.runner.release = broker, release

    def observe(self, answered: Callable[[Job, str], None]) -> None:
        """Have a test told of each query that was run."""
        if isinstance(self.runner, Answerer):
            self.runner.observer = answered

    @property
    def lanes(self) -> set[asyncio.Task[None]]:
        """The tasks in which the handler runs."""
        return self._lanes.tasks if self._batches is None else self._lanes.tasks | self._batches.tasks

    def refuse(self, instead: Callable[[Job], None] | None) -> None:
        """Begin no more jobs: what no lane runs yet goes to `instead`. None: run them again."""
        self._lanes.refuse = instead
        while instead is not None and not self._lanes.queue.empty():
            instead(self._lanes.queue.get_nowait())

    def hold(self, until: asyncio.Event | None) -> None:
        """Begin nothing until this is set; what runs goes on."""
        self._lanes.hold = until

    @property
    def busy(self) -> bool:
        """Whether a lane is at work."""
        return self._lanes.busy > 0

    def forgo(self, job: Job) -> None:
        """A refused job will not be run here."""
        if self._serial is not None:
            self._serial.pass_on(job)

    @property
    def takes_turns(self) -> bool:
        """Whether a claimed job may wait for another that a lane has."""
        return self._serial is not None

    async def run(self, job: Job) -> None:
        """Run one job in the caller's own time, by itself."""
        if self._serial is None:
            await self.runner.run(job)
        else:
            await self._serial.alone(job)

    def fingerprint(self, reason: str) -> str:
        """The fingerprint of a dead letter that no exception caused."""
        return fingerprint(reason, self.name, "")
