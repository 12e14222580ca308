"""The relay: publishes what transactions promised, and strikes a row off only on its confirm.

A worker relays the rows that it wrote itself, straight from memory after the commit. A sweep
adopts the rows of the dead, and those that an application or the command line left without
an owner. Rows that a broker refuses wait, each with its own backoff, and hold up no other but those
behind them in an order (`engine.runtime.succession`). One that no broker can ever take is made smaller, and at last becomes a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from engine.brokers.base import Broker
from engine.errors import BrokerError, BrokerUnavailable, DatabaseError, PublishRefused
from engine.model import delay
from engine.model.message import Message, Publication
from engine.model.outgoing import Kind, Outgoing
from engine.model.slim import slimmer
from engine.runtime import clock, points
from engine.runtime.succession import Succession
from engine.runtime.unsendable import Unsendable, give_up
from engine.storage import outbox
from engine.storage.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from engine.storage.writer import Inlet

logger = logging.getLogger("warren.relay")

#: Publications in flight together.
GROUP = 512
#: Seconds between two looks for rows without a living owner.
SWEEP_INTERVAL = 1.0
#: The longest wait, in seconds, before a refused row is tried again.
LONGEST_BACKOFF = 30.0
#: Seconds between two declarations of the topology for rows that were refused.
REDECLARE_INTERVAL = 5.0
#: Seconds until a row of our own that is not in memory is a stray, and between two looks for such rows.
STRAY_AGE = 30.0
#: How much later than now a delayed message that can be cancelled is sent at least: over a rung, in seconds.
ASKED_FIRST = 2 * delay.EARLY


class RemoveSection:
    """Strikes confirmed rows off the outbox, many at a time."""

    name = "outbox"

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def apply(self, connection: Connection, items: Sequence[str]) -> Sequence[None]:
        outbox.remove(connection, items)
        return [None] * len(items)

    def done(self, items: Sequence[str], results: Sequence[None]) -> None:
        self._relay.removed(items)

    def failed(self, item: str, error: Exception) -> None:
        logger.error("outbox row %s was sent but cannot be removed: %s", item, error)
        self._relay.removed([item])


class Relay:
    """Publishes outbox rows of one worker.

    `redeclare` is called when a queue of ours has gone, before its row is tried again.
    """

    confirmed: Inlet[str]

    def __init__(
        self,
        broker: Broker,
        database: Database,
        *,
        app: str,
        owner: str,
        alive: Callable[[str], bool],
        redeclare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._broker = broker
        self._database = database
        self._app = app
        self.owner = owner
        self._alive = alive
        self._redeclare = redeclare
        self._rows: deque[Outgoing] = deque()
        self._succession = Succession(database, self._release)
        self._refusals: dict[str, int] = {}
        self._unsent: set[str] = set()
        self._suspects: set[str] = set()
        self._looked = time.monotonic()
        self._redeclared = -REDECLARE_INTERVAL
        self._wake = asyncio.Event()
        self._eased = asyncio.Event()
        self._sent = asyncio.Event()
        self._sent.set()

    def send(self, rows: Iterable[Outgoing]) -> None:
        """Publish these committed rows soon, in this order."""
        for row in rows:
            self._unsent.add(row.id)
            self._sent.clear()
            if row.order is None:
                self._rows.append(row)
                self._wake.set()
            else:
                self._succession.put(row)

    def _release(self, row: Outgoing) -> None:
        """Its turn has come, if it is in an order; or it is tried again."""
        self._rows.append(row)
        self._wake.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._rows:
                    group = [self._rows.popleft() for _ in range(min(len(self._rows), GROUP))]
                    await self._publish(group)
        finally:
            self._succession.stop()

    async def _publish(self, group: Sequence[Outgoing]) -> None:
        now = clock.now()
        try:
            answers = await self._broker.publish([self._publication(row, now) for row in group])
        except BrokerError as error:
            answers = [error] * len(group)
        points.reach("relayed")
        refused: list[tuple[Outgoing, BrokerError]] = []
        for row, answer in zip(group, answers, strict=True):
            if answer is None or (row.kind is Kind.REPLY and not isinstance(answer, BrokerUnavailable)):
                if answer is not None:
                    logger.warning("a reply could not be sent, and its sender will wait in vain: %s", answer.message)
                self._refusals.pop(row.id, None)
                self.confirmed.put(row.id)
                if row.order is not None:
                    self._succession.left(row)
            else:
                refused.append((row, answer))
        if refused:
            await self._refused(refused)

    def _publication(self, row: Outgoing, now: float) -> Publication:
        publication = Publication(row.exchange, row.routing_key, row.message, row.mandatory)
        if row.due is None:
            return publication
        due = row.due
        if delay.cancellable(row.message):
            due = max(due, now + ASKED_FIRST)  # whether it was cancelled is asked at the end of a rung
        return delay.plan(self._app, publication, due, now, exact=row.kind not in (Kind.RETRY, Kind.PARK))

    async def _refused(self, refused: Sequence[tuple[Outgoing, BrokerError]]) -> None:
        row, error = refused[0]
        logger.warning(
            "%d messages of the outbox were not taken, they wait and are tried again; the first, to %s: %s",
            len(refused),
            row.routing_key,
            error.message,
        )
        await self.declare_again(error for _, error in refused)
        loop = asyncio.get_running_loop()
        hopeless: list[Unsendable] = []
        for row, error in refused:
            if isinstance(error, PublishRefused) and error.lasting:
                # A dead letter need not travel: it goes into the table as it is.
                smaller = None if row.kind is Kind.DEAD else slimmer(row.message)
                if smaller is None:
                    hopeless.append(Unsendable(row, error.message))
                else:
                    _say_lost(row, smaller, error)
                    self._release(row._replace(message=smaller))
                continue
            tries = self._refusals.get(row.id, 0)
            self._refusals[row.id] = tries + 1
            wait = min(LONGEST_BACKOFF, 0.1 * 2 ** min(tries, 16)) * random.uniform(0.5, 1.0)
            loop.call_later(wait, self._release, row)
        if hopeless:
            await self._give_up(hopeless)

    async def declare_again(self, errors: Iterable[BrokerError]) -> None:
        """A queue or exchange that has gone is made again, but not for each refusal."""
        if self._redeclare is None or all(_says_nothing_of_topology(error) for error in errors):
            return
        now = time.monotonic()
        if now - self._redeclared < REDECLARE_INTERVAL:
            return
        self._redeclared = now
        try:
            await self._redeclare()
        except BrokerError as failure:
            logger.warning("the topology cannot be declared again: %s", failure.message)

    async def _give_up(self, hopeless: Sequence[Unsendable]) -> None:
        """What no broker can carry becomes a failure, whole as the table has it."""
        now = clock.now()
        try:
            await self._database.write(lambda connection: give_up(connection, self.owner, hopeless, now))
        except Exception:
            logger.exception("messages of the outbox can neither be published nor made failures")
            for row, _ in hopeless:
                asyncio.get_running_loop().call_later(LONGEST_BACKOFF, self._release, row)
            return
        for row, reason in hopeless:
            logger.error("message %s of the outbox became a failure: %s", row.message.message_id, reason)
            self._refusals.pop(row.id, None)
            if row.order is not None:
                self._succession.left(row)
        self.removed([row.id for row, _ in hopeless])

    def removed(self, ids: Sequence[str]) -> None:
        """These rows are confirmed and struck off."""
        self._unsent.difference_update(ids)
        self._eased.set()
        if not self._unsent:
            self._sent.set()

    async def flushed(self) -> None:
        """Wait until all rows in memory are confirmed and struck off."""
        await self._sent.wait()

    async def eased(self, backlog: int) -> None:
        """Wait until no more than `backlog` rows in memory are unconfirmed."""
        while len(self._unsent) > backlog:
            self._eased.clear()
            await self._eased.wait()

    @property
    def backlog(self) -> int:
        """How many rows in memory are not yet confirmed."""
        return len(self._unsent)

    async def claim(self, ids: Sequence[str]) -> None:
        """Publish those of these committed rows that nobody else has taken on."""
        self.send(await self._database.write(lambda connection: outbox.claim(connection, self.owner, ids)))

    async def sweep(self) -> int:
        """Adopt rows without a living owner; returns how many."""
        owners = await self._database.read(outbox.owners)
        if self.owner in owners:
            await self.find_strays()
        if all(owner == self.owner for owner in owners):
            return 0
        others = [owner for owner in owners if owner is not None and owner != self.owner]
        dead = [owner for owner in others if not self._alive(owner)]
        if not dead and None not in owners:
            return 0
        rows = await self._database.write(lambda connection: outbox.adopt(connection, self.owner, dead, 4 * GROUP))
        self.send(row for row in rows if row.id not in self._unsent)
        return len(rows)

    async def find_strays(self, age: float = STRAY_AGE) -> None:
        """Send rows of our own that we do not remember: their COMMIT was done, and its answer lost.

        Looks every `age` seconds, at rows older than that. Such a row must be seen by two looks, for one
        that is committed right now may not be in memory yet.
        """
        if time.monotonic() - self._looked < age:
            return
        self._looked = time.monotonic()
        before = clock.now() - age
        ids = await self._database.read(lambda connection: outbox.owned(connection, self.owner, before, 4 * GROUP))
        unknown = {row_id for row_id in ids if row_id not in self._unsent}
        strays = sorted(unknown & self._suspects)
        self._suspects = unknown.difference(strays)
        if strays:
            rows = await self._database.read(lambda connection: outbox.read(connection, strays))
            logger.info("found %d messages of the outbox that were committed and not remembered", len(rows))
            self.send(row for row in rows if row.id not in self._unsent)

    async def sweep_regularly(self) -> None:
        """Sweep until cancelled: at once, then every second, without a pause while there is more."""
        while True:
            try:
                found = await self.sweep()
            except DatabaseError as error:
                logger.warning("the outbox cannot be read, trying again: %s", error.message)
                found = 0
            if found:
                logger.info("adopted %d messages of the outbox", found)
                # What a broker refuses for long must not keep others' rows waiting.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SWEEP_INTERVAL):
                        await self.flushed()
            else:
                await asyncio.sleep(SWEEP_INTERVAL)


def _says_nothing_of_topology(error: BrokerError) -> bool:
    return isinstance(error, BrokerUnavailable) or (isinstance(error, PublishRefused) and error.lasting)


def _say_lost(row: Outgoing, smaller: Message, error: PublishRefused) -> None:
    lost = ", ".join(sorted(set(row.message.headers) - set(smaller.headers)))
    logger.warning("message %s goes on without its headers %s: %s", row.message.message_id, lost, error.message)
