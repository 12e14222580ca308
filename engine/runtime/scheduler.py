"""The scheduler: publishes the events of schedules, each tick once in a fleet.

Every worker knows its plugins' schedules; of each, the one with the lease looks after it.
A tick is settled in the transaction that puts its event into the outbox, and only from
where the schedule stood: a second worker that holds itself for the first one settles nothing.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import DatabaseError, HandlerTimeout, PluginError
from engine.model import schedule as ticks
from engine.model.codec import to_message
from engine.model.event import Event, EventData, new_event
from engine.model.outgoing import Kind, Outgoing
from engine.model.scheduled import ScheduleSpec, assign_names
from engine.runtime import clock
from engine.runtime.ids import new_id
from engine.runtime.leasing import Leases
from engine.runtime.relay import Relay
from engine.storage import event_log, outbox, schedules
from engine.storage.database import Database
from engine.storage.event_log import Origin
from engine.storage.schedules import Schedule

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger("warren.schedules")

#: Seconds between two looks at the clock, at most: it may be set meanwhile.
LOOK = 1.0
#: Seconds between two looks for schedules that nobody looks after.
LEASE_INTERVAL = 2.0
#: Seconds that the function of a schedule may run.
TIMEOUT = 60.0
#: Seconds until a function that failed is called again, at first and at most.
FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 60.0


class Ticking:
    """A schedule that this worker looks after: how it stands, and its failures in a row."""

    def __init__(self, spec: ScheduleSpec, stands: Schedule) -> None:
        self.spec = spec
        self.stands = stands
        self.failures = 0
        self.not_before = 0.0
        self.task: asyncio.Task[None] | None = None

    def ready(self, now: float) -> bool:
        """Whether there is something to do, and nothing of it is being done."""
        if (self.task is not None and not self.task.done()) or time.monotonic() < self.not_before:
            return False
        return self.stands.next <= now or self.stands.last - now > ticks.BACKWARDS


class Scheduler:
    """Looks after the schedules of one worker's plugins, until it is stopped."""

    def __init__(
        self,
        specs: Sequence[ScheduleSpec],
        *,
        app: str,
        exchange: str,
        worker: str,
        database: Database,
        relay: Relay,
        alive: Callable[[str], bool],
        logged: bool = True,
    ) -> None:
        self._specs = {f"schedule:{name}": spec for name, spec in assign_names(app, specs).items()}
        self._app = app
        self._exchange = exchange
        self._logged = logged
        self._worker = worker
        self._database = database
        self._relay = relay
        self._leases = Leases(database, worker, alive)
        self._mine: dict[str, Ticking] = {}
        #: Told when an event was logged.
        self.grown: Callable[[], None] | None = None
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Publish what falls due until stopped."""
        looked = -LEASE_INTERVAL
        while self._specs and not self._stopped.is_set():
            if time.monotonic() - looked >= LEASE_INTERVAL and len(self._mine) < len(self._specs):
                looked = time.monotonic()
                await self._look_for_work()
            now = clock.now()
            self._start_due(now)
            soonest = now + LOOK if self.soonest is None else self.soonest
            try:
                # A task that is at work, or a failure that waits, would make it spin.
                await asyncio.wait_for(self._stopped.wait(), min(max(soonest - now, 0.05), LOOK))
            except TimeoutError:
                pass

    @property
    def soonest(self) -> float | None:
        """When the next tick of those looked after here is due; None without any."""
        return min((ticking.stands.next for ticking in self._mine.values()), default=None)

    async def settle_due(self) -> None:
        """Publish what is due now, and return once that is in the outbox: for a test, which moves the clock."""
        if len(self._mine) < len(self._specs):
            await self._look_for_work()
        self._start_due(clock.now())
        await asyncio.gather(*(each.task for each in self._mine.values() if each.task), return_exceptions=True)

    def _start_due(self, now: float) -> None:
        for ticking in self._mine.values():
            if ticking.ready(now):
                ticking.task = asyncio.create_task(self._settle(ticking), name=f"schedule {ticking.stands.name}")

    async def stop(self) -> None:
        """Call no function any more, and leave the schedules to the other workers."""
        self._stopped.set()
        running = [ticking.task for ticking in self._mine.values() if ticking.task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._mine:
            self._mine.clear()
            await self._leases.release()

    async def _look_for_work(self) -> None:
        try:
            taken = await self._leases.take([name for name in self._specs if name not in self._mine])
        except DatabaseError as error:
            logger.debug("the leases cannot be read: %s", error.message)
            return
        for name in sorted(taken):
            await self._begin(name)

    async def _begin(self, lease: str) -> None:
        spec, now = self._specs[lease], clock.now()
        wanted = Schedule(
            name=spec.name_for(self._app),
            app=self._app,
            spec=str(spec.timing),
            timezone=spec.timing.timezone,
            missed=str(spec.missed),
            last=now,
            next=spec.timing.after(now),
            fired=None,
            worker=self._worker,
            changed=now,
        )
        stands = await self._database.write(partial(_begin, wanted))
        self._mine.setdefault(lease, Ticking(spec, stands))
        logger.info("schedule %s (%s, %s) is looked after here", stands.name, stands.spec, stands.timezone)

    async def _settle(self, ticking: Ticking) -> None:
        spec, stands = ticking.spec, ticking.stands
        now = clock.now()
        answer = ticks.due(spec.timing, stands.last, now, spec.missed)
        if answer.last < stands.last:
            logger.warning("schedule %s: the clock was set back, it goes on from now", stands.name)
        try:
            for tick in answer.ticks:
                if not await self._step(ticking, tick, await self._make(spec, stands.name, tick)):
                    return
            if answer.last != ticking.stands.last:
                await self._step(ticking, answer.last, None)
        except Exception as error:
            ticking.failures += 1
            wait = min(FIRST_BACKOFF * 2 ** min(ticking.failures - 1, 16), LONGEST_BACKOFF)
            ticking.not_before = time.monotonic() + wait
            logger.error(
                "schedule %s failed at %s, it is tried again in %g s: %s",
                stands.name,
                spec.place,
                wait,
                type(error).__name__,
                exc_info=error,
            )
        else:
            ticking.failures = 0

    async def _make(self, spec: ScheduleSpec, name: str, tick: float) -> Event[EventData] | None:
        """Call the function for one tick."""
        arguments = (ticks.told(spec.timing, tick),) if spec.takes_tick else ()
        try:
            async with asyncio.timeout(TIMEOUT) as limit:
                if inspect.iscoroutinefunction(spec.function):
                    made = await spec.function(*arguments)
                else:
                    made = await asyncio.to_thread(spec.function, *arguments)
                    if inspect.isawaitable(made):  # a decorator hid an async function behind a plain one
                        made = await made
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise HandlerTimeout(f"{spec.name} ran longer than {TIMEOUT:g} s") from error
        if made is None:
            return None
        if not isinstance(made, EventData):
            raise PluginError(f"{spec.place}: {spec.name} returned {type(made).__name__}, not an event")
        at = datetime.fromtimestamp(tick, UTC)
        return new_event(
            made, id=ticks.event_id(name, tick), now=at, source=self._app, metadata={"schedule": name}
        )  # fmt: skip

    async def _step(self, ticking: Ticking, last: float, event: Event[EventData] | None) -> bool:
        """Settle the schedule up to here, and publish the event; False when it is another worker's."""
        stands, now = ticking.stands, clock.now()
        rows: list[Outgoing] = []
        if event is not None:
            row = Outgoing(new_id(), Kind.EMIT, self._exchange, event.type, to_message(event), False, None, now)
            rows.append(row._replace(event=event) if self._logged else row)
        moved = stands._replace(
            last=last, next=ticking.spec.timing.after(last), fired=last if rows else stands.fired, changed=now
        )
        if not await self._database.write(partial(_advance, stands, moved, self._worker, rows)):
            logger.warning("schedule %s is looked after by another worker meanwhile", stands.name)
            self._mine = {name: each for name, each in self._mine.items() if each is not ticking}
            return False
        ticking.stands = moved
        self._relay.send(rows)
        if rows and self.grown is not None:
            self.grown()
        if event is not None:
            logger.info("schedule %s published %s", stands.name, event.id)
        return True


def _begin(wanted: Schedule, connection: Connection) -> Schedule:
    return schedules.begin(connection, wanted)


def _advance(stands: Schedule, moved: Schedule, worker: str, rows: list[Outgoing], connection: Connection) -> bool:
    settled = schedules.advance(
        connection, stands, last=moved.last, next=moved.next, fired=moved.fired, now=moved.changed
    )
    if settled:
        outbox.add(connection, worker, rows)
        entries = [event_log.emitted(row, row.event, "", Origin.SCHEDULED) for row in rows if row.event is not None]
        event_log.append(connection, entries, now=moved.changed)
    return settled
