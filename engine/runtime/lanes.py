"""Lanes: what runs claimed messages, so many at a time, in the order in which they became ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from engine.runtime.job import Job

#: Messages that a lane may run without giving the event loop a turn, when its handler never waits.
BURST = 32


class Lanes:
    """At most `most` lanes. They open as they are needed, and live until they are cancelled."""

    def __init__(self, name: str, most: int, run: Callable[[Job], Awaitable[None]]) -> None:
        self.name = name
        self.most = most
        self.tasks: set[asyncio.Task[None]] = set()
        self.queue: asyncio.Queue[Job] = asyncio.Queue()
        #: Takes what is not to be run, while nothing is.
        self.refuse: Callable[[Job], None] | None = None
        #: While it is there and not set, no lane begins a job.
        self.hold: asyncio.Event | None = None
        self._run = run
        self._free = 0
        self._held = 0

    def put(self, job: Job) -> None:
        """The next free lane runs this job."""
        if self.refuse is not None:
            self.refuse(job)
            return
        self.queue.put_nowait(job)
        if len(self.tasks) < self.most and self.queue.qsize() > self._free:
            self.tasks.add(asyncio.create_task(self._lane(), name=f"lane of {self.name}"))

    async def next(self) -> Job:
        """Wait for a job."""
        self._free += 1
        try:
            job = await self.queue.get()
        finally:
            self._free -= 1
        if self.hold is not None:
            await self._wait_for_leave(self.hold)
        return job

    async def _wait_for_leave(self, hold: asyncio.Event) -> None:
        self._held += 1
        try:
            await hold.wait()
        finally:
            self._held -= 1

    @property
    def busy(self) -> int:
        """How many lanes are at work."""
        return len(self.tasks) - self._free - self._held

    async def _lane(self) -> None:
        """Run one job after the other until cancelled."""
        burst = 0
        while True:
            await self._run(await self.next())
            burst += 1
            if burst >= BURST:
                burst = 0
                await asyncio.sleep(0)


class BatchLanes(Lanes):
    """Lanes that take up to `size` jobs at a time: what is ready, or what becomes ready within `wait` seconds."""

    def __init__(
        self, name: str, most: int, run: Callable[[list[Job]], Awaitable[None]], *, size: int, wait: float
    ) -> None:
        super().__init__(name, most, self._alone)
        self._together = run
        self._size = size
        self._wait = wait

    async def _alone(self, job: Job) -> None:
        await self._together([job])

    async def _lane(self) -> None:
        while True:
            jobs = [await self.next()]
            self._fill(jobs)
            if self._wait and len(jobs) < self._size:
                await self._gather(jobs)
            await self._together(jobs)
            await asyncio.sleep(0)

    def _fill(self, jobs: list[Job]) -> None:
        while len(jobs) < self._size and not self.queue.empty():
            jobs.append(self.queue.get_nowait())

    async def _gather(self, jobs: list[Job]) -> None:
        try:
            async with asyncio.timeout(self._wait):
                while len(jobs) < self._size:
                    jobs.append(await self.next())
                    self._fill(jobs)
        except TimeoutError:
            pass
