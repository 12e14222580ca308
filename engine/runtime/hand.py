"""What this worker has in hand: every message it claimed and has not settled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from engine.errors import BrokerError
from engine.runtime.acks import Acker
from engine.runtime.job import Job
from engine.runtime.ordered import REFUSED

if TYPE_CHECKING:
    from engine.runtime.relay import Relay

logger = logging.getLogger("warren.hand")


class Hand:
    """The jobs in flight by queue and event id, and the count of deliveries not yet let go."""

    def __init__(self, relay: Relay, acker: Acker) -> None:
        self.relay = relay
        self.acker = acker
        self.jobs: dict[tuple[str, str], Job] = {}
        self.open = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._returns: set[asyncio.Task[None]] = set()

    def opened(self) -> None:
        """A delivery arrived."""
        self.open += 1
        self._empty.clear()

    def hold(self, job: Job) -> None:
        """The job is claimed."""
        self.jobs[job.key] = job
        job.consumer.stats.in_flight += 1

    def join(self, job: Job) -> bool:
        """Another delivery of a message in hand: it will be acked with it. False when it was let go meanwhile."""
        held = self.jobs.get(job.key)
        if held is None:
            return False
        held.deliveries.extend(job.deliveries)
        job.consumer.stats.duplicates += 1
        return True

    def release(self, job: Job) -> None:
        """The job is settled: ack its deliveries."""
        self._forget(job)
        consumer = job.consumer
        if consumer.ordered is not None:
            consumer.ordered.left(job)
        # Where nothing else is in hand, nothing else will be acked soon.
        self.acker.put(consumer.subscription, job.deliveries, group=consumer.acks if consumer.stats.in_flight else 1)

    def drop(self, job: Job) -> None:
        """The job is left to the broker, which sends its deliveries again when the subscription is closed."""
        self._forget(job)

    def put_back(self, job: Job) -> None:
        """The job was not begun, and goes back to its queue."""
        ordered = job.consumer.ordered
        if ordered is None:
            self.give_back(job)
        else:  # one that was given back by itself would be overtaken: the whole subscription will be
            self.drop(job)
            ordered.left(job)

    def give_back(self, job: Job) -> None:
        """The job could not be settled: the broker keeps its deliveries and sends them again."""
        self._forget(job)
        if job.consumer.ordered is not None:
            self.opened()
            job.consumer.ordered.again(job, REFUSED)
            return
        task = asyncio.create_task(self._nack(job))
        self._returns.add(task)
        task.add_done_callback(self._returns.discard)

    async def _nack(self, job: Job) -> None:
        with contextlib.suppress(BrokerError):
            await job.consumer.subscription.nack(job.deliveries, requeue=True)

    def _forget(self, job: Job) -> None:
        if self.jobs.get(job.key) is job:
            del self.jobs[job.key]
            job.consumer.stats.in_flight -= 1
        if job.settled is not None:
            job.settled.set()
        self.open -= len(job.deliveries)
        if not self.open:
            self._empty.set()

    async def emptied(self) -> None:
        """Wait until nothing is in hand."""
        await self._empty.wait()
