"""The projector: keeps the projections of this worker's plugins up to date, each by one worker of the fleet.

Under a lease a worker looks after the live copy of a projection and the one that is rebuilt beside it. The lease only
saves work: that each event has its effect once is the doing of the checkpoint. It wakes when this process
wrote something, and looks now and then for what others wrote.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import DatabaseError
from engine.model.projection import ProjectionSpec, assign_projections
from engine.runtime import clock
from engine.runtime.leasing import Leases
from engine.runtime.projecting import Projecting
from engine.runtime.projection_calls import bind_projection
from engine.storage import copies, event_search, projections
from engine.storage.database import Database
from engine.storage.projections import RUNNING, Checkpoint

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger("warren.projections")

#: Seconds between two looks for what other processes wrote, and after a wake until more of it has gathered.
LOOK = 0.5
GATHER = 0.02
#: Seconds between two looks for projections that nobody looks after.
LEASE_INTERVAL = 2.0


def lease_name(name: str, version: int) -> str:
    """The lease of a projection: workers with another version of it do not wait for each other."""
    return f"projection:{name}:{version}"


class Projector:
    """Looks after the projections of one worker's plugins until it is stopped. Raises `PluginError`."""

    def __init__(
        self,
        specs: Sequence[ProjectionSpec],
        *,
        app: str,
        worker: str,
        database: Database,
        alive: Callable[[str], bool],
    ) -> None:
        self._specs = assign_projections(app, specs)
        self._invokes = {name: bind_projection(spec) for name, spec in self._specs.items()}
        self._leases = {lease_name(name, spec.version): name for name, spec in self._specs.items()}
        self._app = app
        self._database = database
        self._held = Leases(database, worker, alive)
        self._mine: set[str] = set()
        self._copies: dict[tuple[str, str], Projecting] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._again: set[tuple[str, str]] = set()
        self._looking = asyncio.Lock()
        self._looked = -LEASE_INTERVAL
        self._woken = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """The log may have grown."""
        self._woken.set()

    async def run(self) -> None:
        """Look after projections until stopped."""
        try:
            while self._specs and not self._stopping:
                try:
                    await self.look()
                except DatabaseError as error:
                    logger.debug("the projections cannot be read: %s", error.message)
                try:
                    await asyncio.wait_for(self._woken.wait(), LOOK)
                    await asyncio.sleep(GATHER)
                except TimeoutError:
                    pass
                self._woken.clear()
        except asyncio.CancelledError:
            for task in self._tasks.values():
                task.cancel()
            await self._ended()
            raise

    async def look(self) -> None:
        """Begin with what is to be done."""
        async with self._looking:
            if time.monotonic() - self._looked >= LEASE_INTERVAL and len(self._mine) < len(self._specs):
                self._looked = time.monotonic()
                await self._look_for_work()
            if not self._mine:
                return
            found, head = await self._database.read(self._read)
            present = set()
            for row in found:
                key = (row.name, row.suffix)
                if row.name in self._mine and row.version == self._specs[row.name].version:
                    present.add(key)
                    if key in self._tasks:
                        self._again.add(key)  # what came in its last moments nobody would look for
                    elif self._copy(row).due(head) and not self._stopping:
                        self._start(key)
            for key in self._copies.keys() - present - self._tasks.keys():
                del self._copies[key]

    async def settle(self) -> None:
        """Until nothing more can be done now: for tests, and for who rebuilds without a worker."""
        before: object = None
        while True:
            await self.look()
            tasks = list(self._tasks.values())
            if not tasks:
                return
            await asyncio.gather(*tasks)
            # What is in the log and cannot be read yet, since a transaction before it is open, is not waited for.
            stands = {
                key: (each.stands.position, each.seen, each.stands.attempts) for key, each in self._copies.items()
            }
            if stands == before:
                return
            before = stands

    @property
    def soonest(self) -> float | None:
        """When an event that failed is tried again, in seconds since the epoch; None without any."""
        standing = [copy.stands for copy in self._copies.values() if copy.stands.state == RUNNING]
        later = [stands.retry_at for stands in standing if stands.failing and stands.retry_at > clock.now()]
        return min(later, default=None)

    async def stop(self) -> None:
        """Finish the batches at hand and leave the projections to the other workers."""
        self._stopping = True
        self._woken.set()
        await self._ended()
        mine, self._mine = self._mine, set()
        for name in mine:
            await self._held.give_back(lease_name(name, self._specs[name].version))

    async def _ended(self) -> None:
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _read(self, connection: Connection) -> tuple[list[Checkpoint], int]:
        # The checkpoints first: what comes between the two is found at the next look.
        return projections.fetch(connection, self._app), event_search.newest(connection)

    def _copy(self, row: Checkpoint) -> Projecting:
        key = (row.name, row.suffix)
        copy = self._copies.get(key)
        if copy is None or copy.stands.created != row.created:
            spec = self._specs[row.name]
            copy = Projecting(
                spec, self._invokes[row.name], row, database=self._database, stopped=lambda: self._stopping
            )
            self._copies[key] = copy
        else:
            copy.stands = row
        return copy

    def _start(self, key: tuple[str, str]) -> None:
        task = asyncio.create_task(self._copies[key].run(), name=f"projection {key[0]}{key[1]}")
        self._tasks[key] = task

        def ended(task: asyncio.Task[None]) -> None:
            del self._tasks[key]
            if not task.cancelled() and (error := task.exception()) is not None:
                logger.error("projection %s failed here, it goes on later", key[0], exc_info=error)
            elif key in self._again:
                self._again.discard(key)
                self._woken.set()

        task.add_done_callback(ended)

    async def _look_for_work(self) -> None:
        wanted = [lease for lease, name in self._leases.items() if name not in self._mine]
        for lease in sorted(await self._held.take(wanted)):
            name = self._leases[lease]
            try:
                stands = await self._database.write(partial(_begin, app=self._app, spec=self._specs[name]))
            except DatabaseError:
                raise
            except Exception as error:
                logger.error("projection %s cannot begin: %s", name, error)
                await self._held.give_back(lease)
                continue
            self._mine.add(name)
            self._say(name, stands)

    def _say(self, name: str, stands: Checkpoint) -> None:
        version = self._specs[name].version
        if stands.version == version:
            logger.info("projection %s is looked after here, from event %d", name, stands.position)
        else:
            logger.warning(
                "projection %s has version %d here and %d in the database, so it stands still: `warren projections"
                " rebuild %s` makes its tables anew",
                name,
                version,
                stands.version,
                name,
            )


def _begin(connection: Connection, *, app: str, spec: ProjectionSpec) -> Checkpoint:
    """The live copy as it stands, with its tables; a new one begins at the beginning of the log."""
    name, tables = spec.name_for(app), copies.declared(spec.tables)
    wanted = projections.new(
        name,
        app,
        version=spec.version,
        patterns=spec.patterns,
        tables=[str(each.name) for each in tables],
        now=clock.now(),
    )
    stands = projections.begin(connection, wanted)
    if stands.version == spec.version:
        copies.make_missing(connection, tables)
    return stands
