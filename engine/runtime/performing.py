"""Performing one operation, in groups, while this process has its lease.

    send a group ──▶ relay ──▶ (workers handle) ──▶ look for outcomes ──▶ go on, stop, or done

An item is sent exactly once: its state changes in the transaction that raises its record's run
and writes its outbox row, under the lease. Whoever takes over after a kill -9 goes on with the
first item that waits. Each transaction reads the operation anew, so nothing is sent once a pause
or a cancel is committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from engine.brokers.base import Broker
from engine.errors import BrokerError, DatabaseError
from engine.model.operation import ENDED, PATIENCE, Item, ItemState, Operation, Stage, State, advanced, allowed, counted
from engine.model.outgoing import Outgoing
from engine.model.pace import Meter, Pacer
from engine.model.verdict import Verdict
from engine.runtime import clock, points
from engine.runtime.kind import Kind
from engine.runtime.relay import Relay
from engine.storage import leases, operations, outbox
from engine.storage.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger("warren.operations")

#: Items that are sent in one transaction at most, and rows of the relay that may be unconfirmed meanwhile.
GROUP, BACKLOG = 500, 1000
#: Items whose outcomes are looked for in one read.
WINDOW = 2000
#: Seconds between two looks for outcomes: at first, and at most by what the operation is at.
FIRST_LOOK = 0.1
LONGEST_LOOK = {Stage.CANARY: 0.5, Stage.SENDING: 1.0, Stage.VERIFYING: 5.0}
#: The same for outcomes that have been awaited for long.
LATE_LOOK = 60.0
#: Seconds for which outcomes that are still to come are looked for after the last news.
WATCHED = 7 * 86400.0
#: Seconds between two groups at a set rate, at least; and between two looks whether the queues are there.
TICK, QUEUES_INTERVAL = 0.05, 5.0


def lease_name(operation: str) -> str:
    """The lease under which an operation is performed."""
    return f"operation:{operation}"


class Group(NamedTuple):
    """A group that was sent: the operation after it, and what is to be published."""

    operation: Operation
    rows: list[Outgoing]


class Performance:
    """One operation under the lease `token`; `run` ends when there is no more to do, or the lease is lost.

    With `verifies=False` it ends as soon as nothing can be sent without outcomes.
    """

    def __init__(
        self,
        operation: str,
        kind: Kind,
        *,
        database: Database,
        broker: Broker,
        relay: Relay,
        owner: str,
        token: int,
        verifies: bool = True,
    ) -> None:
        self.id = operation
        #: Messages that were handed to the relay here.
        self.sent = 0
        self._kind = kind
        self._database = database
        self._broker = broker
        self._relay = relay
        self._owner = owner
        self._token = token
        self._verifies = verifies
        self._stopping = asyncio.Event()
        self._gone: frozenset[str] = frozenset()
        self._queues_seen = -QUEUES_INTERVAL
        self._size = GROUP
        self._pacer: tuple[object, float, Pacer] | None = None
        self._meter = Meter()
        self._pace = 0.0
        self._cursor = 0
        self._next_look = 0.0
        self._look_interval = FIRST_LOOK

    def stop(self) -> None:
        """Begin nothing more; `run` ends soon."""
        self._stopping.set()

    async def run(self) -> None:
        """Send and look until there is no more to do. Raises `DatabaseError` where it cannot read."""
        operation = await self._database.write(self._begin)
        while operation is not None and not self._stopping.is_set():
            if self._verifies and time.monotonic() >= self._next_look:
                operation = await self._look()
                if operation is None:
                    return
            if not self._allowed(operation) and (not self._verifies or not _moves(operation)):
                return
            due, wait = self._due(operation)
            if due and await self._ready(operation):
                operation = await self._send(due)
            elif not due:
                look = self._next_look - time.monotonic() if self._verifies else LATE_LOOK
                await self._sleep(min(wait, max(look, 0.0)))
                operation = await self._read()

    # --- sending ----------------------------------------------------------------------------

    def _due(self, operation: Operation) -> tuple[int, float]:
        """How many items may be sent now, and else in how many seconds to ask again."""
        room = min(self._allowed(operation), self._size)
        if not room:
            if operation.state is not State.RUNNING:
                self._pacer = None
            return 0, LATE_LOOK
        now = time.monotonic()
        course = (operation.stage, operation.base_sent)
        if self._pacer is None or self._pacer[0] != course:
            ramp = operation.options.ramp and operation.stage is not Stage.CANARY
            self._pacer = (course, now, Pacer(operation.options.rate, ramp))
        _, begun, pacer = self._pacer
        due = pacer.due(now - begun)
        if due is None:
            return room, 0.0
        return min(room, due), max(pacer.wait(now - begun), TICK)

    async def _ready(self, operation: Operation) -> bool:
        """Whether the relay has room, and it is known which queues there are."""
        try:
            async with asyncio.timeout(TICK):
                await self._relay.eased(BACKLOG)
        except TimeoutError:
            return False
        if time.monotonic() - self._queues_seen < QUEUES_INTERVAL:
            return True
        queues = self._kind.queues(operation)
        try:
            depths = await self._broker.depths(queues)
        except BrokerError as error:
            logger.warning("operation %s waits for the broker: %s", self.id, error.message)
            await self._sleep(1.0)
            return False
        self._gone = frozenset(queue for queue in queues if depths.get(queue) is None)
        self._queues_seen = time.monotonic()
        return True

    def _allowed(self, operation: Operation) -> int:
        """How many items may be sent now, the rate aside."""
        return allowed(operation)

    async def _group(self, count: int) -> Callable[[Connection], Group | None]:
        """What sends the next group, in a transaction."""
        return partial(self._send_group, count, self._gone, self._pace)

    async def _send(self, count: int) -> Operation | None:
        work = await self._group(count)
        try:
            done = await self._database.write(work)
        except DatabaseError:
            raise
        except Exception:
            logger.exception("operation %s: a group of %d cannot be sent", self.id, count)
            return await self._isolate(count)
        if done is None:
            return None
        points.reach("operated")
        self._relay.send(done.rows)
        self.sent += len(done.rows)
        self._pace = self._meter.sent(len(done.rows), time.monotonic())
        if self._pacer is not None:
            self._pacer[2].sent(len(done.rows))
        self._size = min(self._size * 2, GROUP)
        return done.operation

    def _send_group(self, count: int, gone: Collection[str], pace: float, connection: Connection) -> Group | None:
        before = self._mine(connection)
        if before is None:
            return None
        now = clock.now()
        items = operations.items(
            connection, self.id, state=ItemState.WAITING, limit=min(count, allowed(before))
        )  # fmt: skip
        sent = self._kind.send(connection, before, items, now, gone)
        outbox.add(connection, self._owner, sent.rows)
        operations.mark(connection, self.id, sent.items, was=ItemState.WAITING)
        after = advanced(counted(before, sent.items, now), now)
        self._put(connection, before, after._replace(pace=pace if after.state is State.RUNNING else 0.0), now)
        return Group(after, sent.rows)

    async def _isolate(self, count: int) -> Operation | None:
        """A group that cannot be sent: try smaller ones; an item that cannot be sent alone is skipped."""
        if count > 1:
            self._size = max(count // 8, 1)
            return await self._read()
        return await self._database.write(self._skip_one)

    def _skip_one(self, connection: Connection) -> Operation | None:
        before = self._mine(connection)
        if before is None or not allowed(before):
            return before
        now = clock.now()
        skipped = [
            item._replace(state=ItemState.SKIPPED, verdict=str(Verdict.BROKEN), changed=now)
            for item in operations.items(connection, self.id, state=ItemState.WAITING, limit=1)
        ]
        operations.mark(connection, self.id, skipped, was=ItemState.WAITING)
        after = advanced(counted(before, skipped, now), now)
        self._put(connection, before, after, now)
        return after

    # --- outcomes ---------------------------------------------------------------------------

    async def _look(self) -> Operation | None:
        """Look what became of the items that were sent longest ago, then of the next ones, and round again."""
        operation, items, found = await self._database.read(self._find)
        self._cursor = items[-1].position if len(items) == WINDOW else 0
        now = clock.now()
        if operation is not None and (found or advanced(operation, now) != operation):
            operation = await self._database.write(partial(self._settle, found))
        if operation is None:
            return None
        busy = len(found) >= WINDOW // 2
        late = now - operation.changed > PATIENCE
        longest = LATE_LOOK if late else LONGEST_LOOK[operation.stage]
        self._look_interval = FIRST_LOOK if found else min(self._look_interval * 1.5, longest)
        self._next_look = time.monotonic() + (0.0 if busy else self._look_interval)
        return operation

    def _find(self, connection: Connection) -> tuple[Operation | None, list[Item], list[Item]]:
        operation = operations.get(connection, self.id)
        if operation is None or not operation.pending:
            return operation, [], []
        items = operations.items(connection, self.id, state=ItemState.SENT, limit=WINDOW, after=self._cursor)
        return operation, items, self._kind.look(connection, operation, items) if items else []

    def _settle(self, found: list[Item], connection: Connection) -> Operation | None:
        before = self._mine(connection)
        if before is None:
            return None
        now = clock.now()
        found = [item._replace(changed=now) for item in found]
        changed = operations.mark(connection, self.id, found, was=ItemState.SENT)
        after = advanced(counted(before, [item for item in found if item.position in changed], now), now)
        return self._put(connection, before, after, now)

    # --- within -----------------------------------------------------------------------------

    async def _read(self) -> Operation | None:
        return await self._database.read(partial(operations.get, operation=self.id))

    def _begin(self, connection: Connection) -> Operation | None:
        before = self._mine(connection)
        if before is None:
            return None
        now = clock.now()
        after = advanced(before._replace(owner=self._owner, started=before.started or now), now)
        return self._put(connection, before, after, now)

    def _mine(self, connection: Connection) -> Operation | None:
        """The operation, locked, if the lease is still this process's."""
        if not leases.check(connection, lease_name(self.id), self._token):
            return None
        return operations.get(connection, self.id, lock=True)

    def _put(self, connection: Connection, before: Operation, after: Operation, now: float) -> Operation:
        """Write how the operation stands now; that it stopped or is done goes into the audit as well."""
        if after.state is State.STOPPED:
            cause = self._kind.cause(connection, after)
            after = after._replace(note=f"{after.note}; {cause}" if cause else after.note)
        if after.state in ENDED and not after.pending:
            after = after._replace(owner=None)
        operations.put(connection, after)
        if after.state is not before.state:
            operations.note(connection, after, f"{after.kind} {after.state}", who=after.who, why=after.why, now=now)
        return after

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, 1.0)):
                await self._stopping.wait()


def _moves(operation: Operation) -> bool:
    """Whether anything can still become of it without somebody's wish."""
    if operation.state is State.RUNNING:
        return True
    return bool(operation.pending) and clock.now() - operation.changed < WATCHED


def release(connection: Connection, operation: str, owner: str) -> None:
    """In a transaction: `owner` performs this operation no longer, and another may."""
    stands = operations.get(connection, operation, lock=True)
    if stands is not None and stands.owner == owner:
        operations.put(connection, stands._replace(owner=None, pace=0.0))
    leases.release(connection, owner, lease_name(operation))
