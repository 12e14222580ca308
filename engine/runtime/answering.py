"""Queries at work: answered at once, and nothing is written down of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.brokers.base import Broker
from engine.errors import BrokerError, PublishRefused, Rejected, UsageError
from engine.model.deadletter import describe
from engine.runtime import clock, replying
from engine.runtime.job import Job
from engine.runtime.running import Runner, stopping

if TYPE_CHECKING:
    from engine.storage.session import AsyncSession

logger = logging.getLogger("warren.handler")


class Answerer(Runner):
    """Runs a query handler. `broker` takes its replies, `release` lets go of a query that is done with."""

    broker: Broker
    release: Callable[[Job], None]
    #: Told of each query that was run, with what its reply is; it must neither raise nor wait.
    observer: Callable[[Job, str], None] | None = None

    async def run(self, job: Job) -> None:
        """Run the handler on one query and reply. Never raises, but for being cancelled."""
        begun, message = time.perf_counter(), job.message
        until = replying.deadline(message)
        if until is not None and clock.now() >= until:
            logger.warning(
                "%s leaves a query alone whose sender waited until %.1f s ago; are the clocks of both right?",
                self.name,
                clock.now() - until,
            )
            self.stats.stale += 1
        else:
            status, body = await self._answer(job)
            if message.reply_to:
                await self._reply(job, status, body)
            if status == replying.FAILED:
                self.stats.failed += 1
            else:
                self.stats.handled += 1
            if self.observer is not None:
                self.observer(job, status)
            self.stats.latency.add(time.perf_counter() - begun)
        self.release(job)

    async def _answer(self, job: Job) -> tuple[str, bytes]:
        session: AsyncSession | None = None
        try:
            event = self.event(job)
            ctx = self.context(event, 1)
            session = self.session()
            await self.traced(event, ctx, session, (job,))
            if ctx.emitted:
                raise UsageError(
                    f"{self.name} answers queries, which change nothing, but emits or sends something",
                    hint="Make it a command: @command_handler.",
                )
            return replying.OK, replying.result(event, ctx.result, self.name)
        except Rejected as error:
            return replying.REJECTED, replying.refusal(error)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and stopping():
                raise  # the worker is stopping hard: the broker keeps the query
            what = describe(error)
            logger.warning("%s failed on %s: %s: %s", self.name, job.event_id, what.exception, what.message)
            return replying.FAILED, replying.failure(what.exception, what.message)
        finally:
            if session is not None:
                await session.abandon()  # what a query wrote is undone

    async def _reply(self, job: Job, status: str, body: bytes) -> None:
        try:
            (answer,) = await self.broker.publish([replying.reply(job.message, status, body, self.app)])
            if isinstance(answer, PublishRefused) and answer.lasting:
                body = replying.failure(type(answer).__name__, f"the reply cannot be sent: {answer.message}")
                (answer,) = await self.broker.publish([replying.reply(job.message, replying.FAILED, body, self.app)])
        except BrokerError as error:
            answer = error
        if answer is not None:
            logger.warning("%s: the reply to %s was not sent: %s", self.name, job.event_id, answer.message)
