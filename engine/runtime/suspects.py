"""Messages whose last worker died with them in hand: run one at a time, so that the guilty one shows."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from engine.model.record import MAX_DEATHS, Record, on_probation
from engine.runtime import clock
from engine.runtime.consumer import Consumer
from engine.runtime.job import Job
from engine.storage import records
from engine.storage.database import Database
from engine.storage.records import Fate

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger("warren.suspects")

#: Seconds that a last trial waits for the handlers that run, and between two looks at them.
PATIENCE, LOOK = 30.0, 0.02


class Suspects:
    """The one lane for suspects in this process.

    Before one runs, its record says that it runs as the only suspect. A worker that dies
    then has proven something; three such deaths dead-letter the message. At its last trial it runs
    with no handler beside it, so that nobody is buried for what another did. `release` lets go of
    one that is another worker's by now; `consumers` are all of this worker.
    """

    def __init__(self, database: Database, consumers: Sequence[Consumer], release: Callable[[Job], None]) -> None:
        self._database = database
        self._consumers = consumers
        self._release = release
        self._queue: asyncio.Queue[Job] = asyncio.Queue()

    def put(self, job: Job) -> None:
        """Run this job when the suspects before it are settled."""
        self._queue.put_nowait(job)

    async def run(self) -> None:
        """Run suspects until cancelled."""
        while True:
            job = await self._queue.get()
            assert job.record is not None
            last = job.record.deaths == MAX_DEATHS - 1
            # A job of a serial handler may wait for its turn behind one that a lane holds.
            async with self._quiet() if last and not job.consumer.takes_turns else nullcontext():
                await self._try(job, job.record)

    async def _try(self, job: Job, claimed: Record) -> None:
        record = on_probation(claimed, clock.now())
        if await self._database.write(partial(_write, record)) is Fate.LOST:
            logger.warning("%s: %s was taken over by another worker meanwhile", *job.key)
            self._release(job)
            return
        job.record = record
        job.settled = asyncio.Event()
        task = asyncio.current_task()
        if task is not None:
            task.set_name(f"lane of {job.consumer.queue}")
        await job.consumer.run(job)
        await job.settled.wait()

    @asynccontextmanager
    async def _quiet(self) -> AsyncIterator[None]:
        """Keep the lanes from beginning anything, and wait until what runs has ended, for a time."""
        leave = asyncio.Event()
        for consumer in self._consumers:
            consumer.hold(leave)
        try:
            ended = time.monotonic() + PATIENCE
            # Asked, not told: lanes are the hot path, and this is rare.
            while any(consumer.busy for consumer in self._consumers) and time.monotonic() < ended:  # noqa: ASYNC110
                await asyncio.sleep(LOOK)
            yield
        finally:
            for consumer in self._consumers:
                consumer.hold(None)
            leave.set()


def _write(record: Record, connection: Connection) -> Fate:
    return records.settle(connection, [record])[0]
