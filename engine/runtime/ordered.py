"""The messages of a handler with partitions, in line by their keys, in front of the claims.

    deliveries ─▶ line of the key ─▶ claim ─▶ lane ─▶ outcome
                       ▲                                 │ the next of the key
                       └─────────────────────────────────┘

Of each key only the first in line is claimed. So nothing can overtake it, whatever becomes of it: a
suspect, or one that a living worker has in hand, stays where it is. What waits is neither
claimed nor counted, and can be let go of at any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import DecodingError
from engine.model import record as transitions
from engine.model.lines import Lines
from engine.runtime import clock
from engine.runtime.job import Job
from engine.runtime.lanes import Lanes
from engine.runtime.outcomes import Outcome

if TYPE_CHECKING:
    from engine.runtime.hand import Hand
    from engine.storage.writer import Inlet

#: Seconds until a message that another worker has in hand is looked at again: at first, and at most.
SOON, LATER = 0.02, 1.0
#: Seconds until one that the database refused is tried again.
REFUSED = 1.0


class Ordered:
    """The lines of one handler in this worker, and its lanes.

    `key_of` reads the text of a job's key and raises `DecodingError`; a job without one waits for nobody, and holds
    up nobody. With `strict` the next of a key is claimed when the outcome of the one before is committed, otherwise when its run
    has ended. The worker sets `claim`, `settle` and `hand`.
    """

    claim: Callable[[Job], None]
    settle: Inlet[Outcome]
    hand: Hand

    def __init__(
        self,
        name: str,
        most: int,
        run: Callable[[Job], Awaitable[None]],
        key_of: Callable[[Job], str | None],
        *,
        strict: bool,
    ) -> None:
        self.lanes = Lanes(name, most, run if strict else self._run_and_leave)
        self._run = run
        self._key_of = key_of
        self._strict = strict
        self._lines: Lines[Job] = Lines()
        self._keys: dict[Job, str] = {}
        #: What is looked at again: when it is, None while it is being claimed, and how long it waited.
        self._looks: dict[Job, tuple[asyncio.TimerHandle | None, float]] = {}
        #: Partitions of which nothing is begun any more.
        self._shut: set[str] = set()

    def put(self, job: Job) -> None:
        """A delivery takes its place."""
        try:
            key = self._key_of(job)
        except DecodingError as error:
            job.event, job.defect, key = None, error, None
        if key is None:
            self.claim(job)
            return
        self._keys[job] = key
        if self._strict:
            job.line = key
        if self._lines.join(key, job):
            self.claim(job)

    def ready(self, job: Job) -> None:
        """It is claimed: a lane runs it."""
        if self._is_shut(job):
            self._unclaim(job)
        else:
            self.lanes.put(job)

    def again(self, job: Job, wait: float | None = None) -> None:
        """It cannot be had now: claim it again soon, and let nothing of its key pass it meanwhile."""
        if self._is_shut(job):
            self._drop(job)
            return
        _, before = self._looks.pop(job, (None, SOON / 2))
        wait = min(2 * before, LATER) if wait is None else wait
        timer = asyncio.get_running_loop().call_later(wait, partial(self._look, job))
        self._looks[job] = timer, wait

    def _look(self, job: Job) -> None:
        _, wait = self._looks[job]
        self._looks[job] = None, wait
        self.claim(job)

    def left(self, job: Job) -> None:
        """It is done with: the next of its key has its turn."""
        if self._looks:
            self._looks.pop(job, None)
        key = self._keys.pop(job, None)
        if key is not None and (following := self._lines.leave(key)) is not None:
            self.claim(following)

    async def _run_and_leave(self, job: Job) -> None:
        try:
            await self._run(job)
        finally:
            self.left(job)

    def shut(self, partitions: Collection[str]) -> None:
        """Begin nothing of these partitions any more, and let go of what waits: the broker still has it."""
        self._shut.update(partitions)
        for job in self._lines.drop_waiting(self._is_shut):
            del self._keys[job]
            self.hand.drop(job)
        for job in [each for each in self._looks if self._is_shut(each)]:
            timer, _ = self._looks[job]
            if timer is not None:
                timer.cancel()
                self._drop(job)
        kept: list[Job] = []
        while not self.lanes.queue.empty():
            job = self.lanes.queue.get_nowait()
            if self._is_shut(job):
                self._unclaim(job)
            else:
                kept.append(job)
        for job in kept:
            self.lanes.queue.put_nowait(job)

    def open(self, partitions: Collection[str]) -> None:
        """Run what comes of these partitions."""
        self._shut.difference_update(partitions)

    def takes(self, partition: str) -> bool:
        """Whether a delivery of this partition would be run."""
        return partition not in self._shut

    def _is_shut(self, job: Job) -> bool:
        return job.deliveries[0].queue in self._shut

    def _unclaim(self, job: Job) -> None:
        """It was claimed, and is not begun: this was no attempt."""
        assert job.record is not None
        self.settle.put(Outcome(job, transitions.unclaim(job.record, clock.now()), back=True))

    def _drop(self, job: Job) -> None:
        self.hand.drop(job)
        self.left(job)
