"""Running a handler: its event, its context, its providers, its time-out, its commit."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from engine.errors import HandlerTimeout, Rejected
from engine.model import record as transitions
from engine.model.codec import build_event
from engine.model.event import Event
from engine.model.outgoing import Kind, Outgoing, order_of
from engine.model.stats import HandlerStats
from engine.model.subjects import Role
from engine.runtime import clock, points, replying, tracing
from engine.runtime.binding import Invoke
from engine.runtime.context import Context
from engine.runtime.depends import Given
from engine.runtime.failing import Failing
from engine.runtime.holding import held
from engine.runtime.ids import new_id
from engine.runtime.job import Job
from engine.runtime.limited import TimeOutExpired, within
from engine.runtime.outcomes import Outcome, OutcomeSection, TakenOver, write
from engine.runtime.providers import NOTHING, supplied
from engine.storage.records import Fate

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from engine.storage.session import AsyncSession
    from engine.storage.writer import Inlet

logger = logging.getLogger("warren.handler")


class Runner:
    """Runs one handler on claimed jobs, and hands their outcomes on to be written.

    `exchange` is where its events go; `common` is what the worker's own providers gave; `logged`: whether its
    events go into the log.
    """

    settle: Inlet[Outcome]
    outcomes: OutcomeSection

    def __init__(
        self,
        invoke: Invoke,
        failing: Failing,
        stats: HandlerStats,
        *,
        queue: str,
        app: str,
        worker: str,
        exchange: str,
        session: Callable[[Callable[[float], None], Callable[[float], None]], AsyncSession],
        threads: Executor,
        common: Given,
        route: Callable[[str], str | None] = lambda _type: None,
        logged: bool = True,
    ) -> None:
        self.invoke = invoke
        self.failing = failing
        self.stats = stats
        self.name = invoke.spec.name
        self.queue = queue
        self._plan = invoke.plan or None
        self._call_async = invoke.call if invoke.is_async else None
        self._payloads = invoke.payloads
        self._is_batch = invoke.is_batch
        self._wants_session = invoke.wants_session
        self.timeout = invoke.spec.timeout
        self._context = partial(
            Context,
            max_attempts=failing.policy.attempts,
            queue=queue,
            handler=self.name,
            source=app,
            exchange=exchange,
            emits=invoke.spec.emits,
            route=route,
        )
        self.app = app
        self._replies = invoke.spec.role is Role.COMMAND
        self._worker = worker
        self._exchange = exchange
        self._session = session
        self._threads = threads
        self._common = common
        self._logged = logged

    def event(self, job: Job) -> Event[Any]:
        """The job's event; raises `DecodingError` for what cannot be read."""
        if job.event is None:
            if job.defect is not None:
                raise job.refusal()
            assert job.envelope is not None
            envelope = job.envelope
            now = envelope.timestamp or clock.utc()
            job.event = build_event(envelope, self._payloads, id=job.own_id or job.claim.event_id, now=now)
        return job.event

    async def run(self, job: Job) -> None:
        """Run the handler on one job. Never raises, but for being cancelled."""
        begun = time.perf_counter()
        session: AsyncSession | None = None
        if self._replies and (until := replying.deadline(job.message)) is not None and clock.now() >= until:
            self.failing.expire(job, until)
            return
        try:
            event = self.event(job)
            assert job.record is not None
            ctx = self._context(event, attempt=job.record.attempts, deadline=clock.now() + self.timeout)
            if self._wants_session:
                session = self._session(self._held, self.stats.holds.add)
            carried = await self.traced([event] if self._is_batch else event, ctx, session, (job,))
            points.reach("handled")
            rows = self.sent(ctx, (job,), carried) if ctx.emitted else ()
            if self._replies and replying.waits(job.message, now := clock.now()):
                body = replying.result(event, ctx.result, self.name)
                rows = [*rows, replying.reply_row(job, replying.OK, body, self.app, now)]
            outcome = Outcome(job, transitions.finish(job.record, clock.now()), rows)
            if session is None or not session.touched:
                self.settle.put(outcome)
            else:
                await self.commit(session, [outcome])
        except asyncio.CancelledError as error:
            if stopping():
                raise  # the worker is stopping hard: the broker keeps the message
            self.failing.fail(job, error)
        except TakenOver:
            self.outcomes.settled(outcome, Fate.LOST)
        except Rejected as error:
            self.failing.reject(job, error)
        except (Exception, SystemExit) as error:
            self.failing.fail(job, error)
        finally:
            if session is not None:
                await session.abandon()
        self.stats.latency.add(time.perf_counter() - begun)

    def _held(self, seconds: float) -> None:
        logger.warning(
            "%s has held its transaction for %g s, and what it locks stays locked meanwhile (on SQLite the whole"
            " database): call what is slow before the first statement",
            self.name,
            seconds,
        )

    def session(self) -> AsyncSession | None:
        """A session, where the handler or a provider asks for one."""
        return self._session(self._held, self.stats.holds.add) if self._wants_session else None

    def context(self, event: Event[Any], attempt: int) -> Context:
        """The context of an attempt that begins now."""
        return self._context(event, attempt=attempt, deadline=clock.now() + self.timeout)

    def traced(
        self, subject: Any, ctx: Context, session: AsyncSession | None, jobs: Sequence[Job]
    ) -> Awaitable[Mapping[str, str] | None]:
        """Call the handler as `call` does, in a span of its own where this worker traces."""
        if tracing.spans is None:
            return self.call(subject, ctx, session)
        return tracing.spans.around(self.queue, self.name, jobs, ctx, partial(self.call, subject, ctx, session))

    async def call(self, subject: Any, ctx: Context, session: AsyncSession | None) -> None:
        """Call the handler with an event or a batch, within its time-out."""
        try:
            queued = None if session is None else session.queued
            await within(self.timeout, self._called(subject, ctx, session), queued=queued)
        except TimeOutExpired as error:
            raise HandlerTimeout(f"{self.name} ran longer than {self.timeout:g} s") from error
        finally:
            ctx.close()
            if session is not None:
                held.set(None)

    async def _called(self, subject: Any, ctx: Context, session: AsyncSession | None) -> None:
        if session is not None:
            held.set(session)
        if self._plan:
            work = partial(self._work, subject, ctx, session)
            await supplied(self._plan, self._common, work, subject, ctx, session)
        elif self._call_async is not None:
            ctx.result = await self._call_async(subject, ctx, session)
        else:
            await self._in_thread(subject, ctx, NOTHING)

    async def _work(self, subject: Any, ctx: Context, session: AsyncSession | None, given: Given) -> None:
        if self.invoke.is_async:
            ctx.result = await self.invoke.call(subject, ctx, session, given)
        else:
            await self._in_thread(subject, ctx, given)

    async def _in_thread(self, subject: Any, ctx: Context, given: Given) -> None:
        loop = asyncio.get_running_loop()
        work = partial(contextvars.copy_context().run, self.invoke.call, subject, ctx, None, given)
        running = loop.run_in_executor(self._threads, work)
        try:
            result = await asyncio.shield(running)
        except asyncio.CancelledError:
            # A thread cannot be stopped. The lane stays with it, so that no second attempt overlaps the first.
            if not running.done():
                logger.warning("%s ran past its time-out in a thread; its lane waits for it to return", self.name)
                await asyncio.wait([running])
            raise
        finally:
            del running  # it holds what was raised, which holds this frame, and the message with it
        # A decorator may have hidden an async function behind a plain one.
        ctx.result = await result if isawaitable(result) else result

    async def commit(self, session: AsyncSession, outcomes: Sequence[Outcome]) -> None:
        """Commit the handler's own statements, the outcomes and what they send in one transaction.

        Raises `TakenOver`, with nothing written, when another worker has one of the messages.
        """

        def work(connection: Connection) -> list[Fate]:
            fates = write(connection, self._worker, outcomes)
            if Fate.LOST in fates:
                raise TakenOver
            return fates

        self.outcomes.done(outcomes, await session.finish(work))

    def sent(self, ctx: Context, jobs: Sequence[Job], carried: Mapping[str, str] | None) -> Sequence[Outgoing]:
        """The rows of what the handler emitted and sent, with the trace context that they carry on."""
        tracing.carry(ctx, jobs, carried)
        now = clock.now()
        logged = self._logged
        if ctx.detours is None:
            return [
                Outgoing(
                    new_id(),
                    Kind.EMIT,
                    self._exchange,
                    event.type,
                    message,
                    False,
                    None,
                    now,
                    event if logged else None,
                    order_of(event),
                )
                for event, message in zip(ctx.emitted, ctx.messages, strict=True)
            ]
        rows: list[Outgoing] = []
        for index, (event, message) in enumerate(zip(ctx.emitted, ctx.messages, strict=True)):
            detour = ctx.detours.get(index)
            if detour is None or detour.queue is None:
                due = None if detour is None else detour.due
                row = Outgoing(new_id(), Kind.EMIT, self._exchange, event.type, message, False, due, now)
                if due is None:
                    row = row._replace(order=order_of(event))
                rows.append(row._replace(event=event) if logged else row)
            else:  # a command, and no event
                rows.append(Outgoing(new_id(), Kind.SEND, "", detour.queue, message, True, detour.due, now))
        return rows


def stopping() -> bool:
    """Whether this very task was told to end, as opposed to something it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
