"""Batch handlers: several events in one call, and all their outcomes in one transaction.

A batch that fails has no effect and is run again at once, one event at a time: so only
the culprit counts a failed attempt. These single runs share one time-out: what none of them has
begun by then goes back to its queue, without an attempt, and comes in a later batch. So a batch
holds its messages for no longer than three time-outs, however many they are.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import DecodingError
from engine.model import record as transitions
from engine.runtime import clock, points
from engine.runtime.job import Job
from engine.runtime.outcomes import Outcome, OutcomeSection, TakenOver, write
from engine.runtime.running import Runner, stopping
from engine.storage.records import Fate

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from engine.storage.writer import Inlet

logger = logging.getLogger("warren.handler")


class BatchOutcome(NamedTuple):
    """The outcomes of a batch, to be written all or none."""

    batches: Batches
    outcomes: Sequence[Outcome]


class BatchSection:
    """The batches that ended while the last group was written."""

    name = "batches"

    def __init__(self, worker: str, outcomes: OutcomeSection) -> None:
        self._worker = worker
        self._outcomes = outcomes

    def apply(self, connection: Connection, items: Sequence[BatchOutcome]) -> Sequence[list[Fate]]:
        found = []
        for item in items:
            fates = write(connection, self._worker, item.outcomes)
            if Fate.LOST in fates:
                raise TakenOver  # the writer undoes it, and writes the other batches
            found.append(fates)
        return found

    def done(self, items: Sequence[BatchOutcome], results: Sequence[list[Fate]]) -> None:
        points.reach("committed")
        for item, fates in zip(items, results, strict=True):
            for outcome, fate in zip(item.outcomes, fates, strict=True):
                self._outcomes.settled(outcome, fate)

    def failed(self, item: BatchOutcome, error: Exception) -> None:
        """It cannot be written as one."""
        item.batches.singly([outcome.job for outcome in item.outcomes], error)


class Batches:
    """Runs a batch handler. `inlet` writes the batches that need no session."""

    inlet: Inlet[BatchOutcome]

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self, jobs: Sequence[Job]) -> None:
        """Run the handler on all of these together, and where that fails on each of them."""
        readable: list[Job] = []
        for job in jobs:
            try:
                self._runner.event(job)
            except DecodingError as error:
                self._runner.failing.fail(job, error)
            else:
                readable.append(job)
        if len(readable) > 1 and not await self._together(readable):
            await self._each(readable)
        elif len(readable) == 1:
            await self._runner.run(readable[0])

    def singly(self, jobs: Sequence[Job], error: BaseException) -> None:
        """Run these again, one by one, outside the lanes."""
        self._say(jobs, error)
        task = asyncio.create_task(self._each(jobs))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _each(self, jobs: Sequence[Job]) -> None:
        """One by one, each in its whole time-out, until one time-out is over for all."""
        begun = time.monotonic()
        for index, job in enumerate(jobs):
            if index and time.monotonic() - begun >= self._runner.timeout:
                self._give_back(jobs[index:])
                return
            await self._runner.run(job)

    def _give_back(self, jobs: Sequence[Job]) -> None:
        runner, now = self._runner, clock.now()
        logger.warning(
            "%s took longer than %g s over events of a failed batch; the other %d go back to their queue",
            runner.name,
            runner.timeout,
            len(jobs),
        )
        for job in jobs:
            assert job.record is not None
            runner.settle.put(Outcome(job, transitions.unclaim(job.record, now), back=True))

    async def _together(self, jobs: Sequence[Job]) -> bool:
        """Whether it worked; if not, nothing of it remains."""
        runner = self._runner
        begun = time.perf_counter()
        events = [runner.event(job) for job in jobs]
        ctx = runner.context(events[-1], max(_attempts(job) for job in jobs))
        session = runner.session()
        try:
            carried = await runner.traced(events, ctx, session, jobs)
            points.reach("handled")
            outcomes = self._outcomes(jobs)
            if ctx.emitted:
                outcomes[-1] = outcomes[-1]._replace(rows=runner.sent(ctx, jobs, carried))
            if session is None or not session.touched:
                self.inlet.put(BatchOutcome(self, outcomes))
            else:
                await runner.commit(session, outcomes)
        except asyncio.CancelledError as error:
            if stopping():
                raise
            self._say(jobs, error)
            return False
        except (Exception, SystemExit) as error:
            self._say(jobs, error)
            return False
        finally:
            if session is not None:
                await session.abandon()
        runner.stats.latency.add(time.perf_counter() - begun)
        return True

    def _outcomes(self, jobs: Sequence[Job]) -> list[Outcome]:
        now = clock.now()
        found = []
        for job in jobs:
            assert job.record is not None
            found.append(Outcome(job, transitions.finish(job.record, now)))
        return found

    def _say(self, jobs: Sequence[Job], error: BaseException) -> None:
        logger.info(
            "%s failed on a batch of %d, which is run again one by one: %s",
            self._runner.name,
            len(jobs),
            type(error).__name__,
        )


def _attempts(job: Job) -> int:
    assert job.record is not None
    return job.record.attempts
