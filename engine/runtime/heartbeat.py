"""What a worker reports of itself: that it is there, which queues it has, what it counted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import socket
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.model.partition import partition_names
from engine.model.subjects import Role
from engine.runtime import clock
from engine.runtime.consumer import Consumer
from engine.runtime.routes import refuse_rival
from engine.storage import workers
from engine.storage.database import Database
from engine.storage.workers import PARTITION

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Seconds between two reports of counters, when there is something new to report.
STATS_INTERVAL = 1.0
#: Seconds between two beats.
BEAT_INTERVAL = 5.0


class Queue(NamedTuple):
    """A queue that a worker consumes."""

    queue: str
    handler: str
    patterns: tuple[str, ...]
    role: str = Role.EVENT


class Heartbeat:
    """Registers a worker, beats, and writes its counters, all through the group writer.

    `also` are queues that it consumes without a handler, with their patterns and whose they are.
    """

    def __init__(
        self,
        database: Database,
        worker: str,
        app: str,
        consumers: Sequence[Consumer],
        group: str = "",
        also: Sequence[Queue] = (),
        alive: Callable[[str], bool] = lambda _worker: True,
    ) -> None:
        self._database = database
        self._worker = worker
        self._app = app
        self._consumers = consumers
        self._group = group
        self._alive = alive
        self._queues = [
            *(Queue(each.queue, each.name, tuple(each.spec.patterns), each.spec.role) for each in consumers),
            *also,
        ]
        self._partitions = [
            Queue(name, each.name, (), PARTITION)
            for each in consumers
            for name in partition_names(each.queue, each.spec.partitions)
        ]
        self._state = "starting"
        self._info: dict[str, Any] = {}
        self._written: dict[str, tuple[int, ...]] = {}
        self._holds: dict[str, list[float]] = {}

    async def start(self) -> None:
        """Register the worker and the queues that it declared; raises `PluginError` where another has its commands."""
        now = clock.now()
        self._info = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "group": self._group,
            "python": platform.python_version(),
            "handlers": {each.queue: each.handler for each in self._queues},
            "timeouts": {consumer.queue: consumer.spec.timeout for consumer in self._consumers},
            "partitions": {
                consumer.queue: consumer.spec.partitions for consumer in self._consumers if consumer.spec.partitions
            },
            "keyed": [consumer.queue for consumer in self._consumers if consumer.identity is not None],
            "exchanges": {
                consumer.queue: consumer.spec.exchange for consumer in self._consumers if consumer.spec.exchange_named
            },
        }
        row = workers.Worker(
            id=self._worker,
            app=self._app,
            version=program_version(),
            state="running",
            started=now,
            beat=now,
            info=self._info,
        )
        queues = [
            workers.DeclaredQueue(each.queue, self._app, each.handler, each.patterns, now, now, each.role)
            for each in (*self._queues, *self._partitions)
        ]

        def work(connection: Connection) -> None:
            workers.announce(connection)
            refuse_rival(workers.find_rival(connection, queues, self._alive, now))
            workers.register(connection, row)
            workers.declare_queues(connection, queues)

        await self._database.write(work)
        self._state = "running"

    async def run(self) -> None:
        """Report until cancelled."""
        beaten = time.monotonic()
        while True:
            await asyncio.sleep(STATS_INTERVAL)
            if time.monotonic() - beaten >= BEAT_INTERVAL:
                beaten = time.monotonic()
                await self.say(self._state)
            await self.save()

    async def say(self, state: str) -> None:
        """Report a state now."""
        self._state = state
        now = clock.now()
        await self._database.write(lambda connection: workers.beat(connection, self._worker, state=state, now=now))

    async def save(self) -> None:
        """Write the counters that changed since they were last written."""
        now = clock.now()
        rows: list[workers.Stats] = []
        for consumer in self._consumers:
            stats = consumer.stats
            mark = (
                stats.handled,
                stats.failed,
                stats.duplicates,
                stats.stale,
                stats.parked,
                stats.dead,
                stats.in_flight,
            )
            if self._written.get(consumer.queue) != mark:
                self._written[consumer.queue] = mark
                rows.append(workers.Stats(self._worker, consumer.queue, consumer.name, now, stats.snapshot()))
        if rows:
            await self._database.write(lambda connection: workers.save_stats(connection, rows))
        await self._save_holds()

    async def _save_holds(self) -> None:
        """Sessions that were held for over a second, by queue: how many, and the seconds of the longest. Rare."""
        found = {each.queue: each.stats.holds for each in self._consumers if each.stats.holds.count}
        holds = {queue: [held.count, round(held.longest, 3)] for queue, held in found.items()}
        if holds != self._holds:
            self._holds = holds
            info = {**self._info, "holds": holds}
            await self._database.write(lambda connection: workers.tell(connection, self._worker, info))

    async def finish(self, patience: float) -> None:
        """Write the last counters and say that the worker has stopped, if that takes no longer than so many seconds."""
        with contextlib.suppress(TimeoutError):  # then its silence says it
            async with asyncio.timeout(patience):
                await self.save()
                await self._database.write(lambda connection: workers.stop(connection, self._worker, now=clock.now()))


def program_version() -> str:
    """The version of Warren that runs."""
    try:
        return version("warren")
    except PackageNotFoundError:
        return "unknown"
