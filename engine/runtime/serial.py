"""What has equal keys runs one at a time, in the order of the claims; no lane waits for its turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable

from engine.errors import DecodingError
from engine.runtime.job import Job
from engine.runtime.lanes import Lanes


class Serial:
    """In front of the lanes: of each key they get one job at a time, the others wait in the key's own queue.

    `key_of` reads the key of a job and raises `DecodingError`; a job without one waits for nobody.
    """

    def __init__(self, name: str, most: int, run: Callable[[Job], Awaitable[None]], key_of: Callable[[Job], Hashable]):
        self.lanes = Lanes(name, most, self._run_and_pass_on)
        self._run = run
        self._key_of = key_of
        #: By key that is taken: what starts each that waits for it.
        self._waiting: dict[Hashable, deque[Callable[[], None]]] = {}
        self._holders: dict[Job, Hashable] = {}

    def put(self, job: Job) -> None:
        """Run this job when those with its key that came before it have ended."""
        self._in_turn(job, lambda: self.lanes.put(job))

    async def alone(self, job: Job) -> None:
        """Run this job in the caller's own time, but in its key's turn."""
        turn = asyncio.Event()
        self._in_turn(job, turn.set)
        await turn.wait()
        await self._run_and_pass_on(job)

    def _in_turn(self, job: Job, start: Callable[[], None]) -> None:
        try:
            key = self._key_of(job)
        except DecodingError as error:
            job.event, job.defect, key = None, error, None
        if key is None:
            start()
            return
        self._holders[job] = key
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = deque()
            start()
        else:
            waiting.append(start)

    async def _run_and_pass_on(self, job: Job) -> None:
        try:
            await self._run(job)
        finally:
            self.pass_on(job)

    def pass_on(self, job: Job) -> None:
        """The job has ended, or is not run at all: the next with its key has its turn."""
        key = self._holders.pop(job, None)
        if key is None:
            return
        waiting = self._waiting[key]
        if waiting:
            waiting.popleft()()
        else:
            del self._waiting[key]
