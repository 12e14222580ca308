"""One connection to a broker file, as its thread sees it: what it remembers, and its transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from engine.brokers.embedded.catalog import Catalog
from engine.brokers.embedded.consumers import Batch, Consumer, Consumers
from engine.brokers.embedded.file import BrokerFile
from engine.brokers.embedded.members import Member, dismiss
from engine.brokers.embedded.router import Router
from engine.brokers.embedded.store import Store
from engine.errors import BrokerError, QueueMissing
from engine.model.topology import Topology


class Work(Protocol):
    """What a transaction is asked to do. It may be run again when the transaction fails."""

    def run(self, session: Session) -> None: ...


class Session:
    """Reads and writes the file for one connection.

    When a transaction fails, what it changed in memory is made good: `undo` restores what is
    out with consumers, and everything else is read anew.
    """

    def __init__(self, path: Path, *, app: str, durable: bool, clock: Callable[[], float]) -> None:
        self.file = BrokerFile(path, durable=durable)
        self.clock = clock
        self.catalog = Catalog()
        self.consumers = Consumers()
        self.member = Member(self.file.folder, app)
        self.declared: list[Topology] = []
        self.undo: list[Callable[[], object]] = []
        self.store: Store
        self.router: Router
        self._generation = 0
        self._identity: str | None = None
        self._seen: int | None = None
        self._members = 0
        self._expelled = False
        self._next_expiry: float | None = None
        self._bound = self._told = 0
        self._missing: set[str] = set()
        #: Consumers whose own queues had gone with a file or a membership, and are there again.
        self.remade: list[Consumer] = []

    @property
    def connection(self) -> sqlite3.Connection:
        """The database connection."""
        return self.file.connection

    def open(self) -> None:
        """Open the file; raises `BrokerUnavailable`. The first write makes this connection a member."""
        self.file.open()
        self.store = Store(self.connection)
        self.router = Router(self.store, self.catalog)
        self._seen = None
        self.catalog.version = 0

    def close(self) -> None:
        """Give back what is out, and leave."""
        try:
            with self.file.transaction() as connection:
                self._refresh(connection)
                dismiss(connection, self.store, self.router, self.member.id, self.clock())
                connection.execute("UPDATE state SET position = ? WHERE position < ?", (self.store.position,) * 2)
            with self.file.turn():  # closing may write back what is in the log
                self.file.connection.close()
        finally:
            self.drop()

    def drop(self) -> None:
        """Close the file as it is; others will find this connection gone."""
        self.file.close()
        self.member.leave()

    def write(self, works: Sequence[Work], *, reap: bool = False) -> list[Batch]:
        """Do all of it in one transaction, and take what consumers have room for."""
        self.undo = []
        try:
            with self.file.transaction() as connection:
                self._refresh(connection)
                now = self.clock()
                if reap and self.member.reap(connection, self.store, self.router, now):
                    self.topology_changed()
                if self._next_expiry is not None and self._next_expiry <= now:
                    self.router.expire(now)
                for work in works:
                    work.run(self)
                self.consumers.ready |= self.router.touched
                self.router.touched.clear()
                batches = self.consumers.deal(self.store, self.member.id, self._generation, now)
                self.undo += [_taking_back(batch) for batch in batches]
                connection.execute("UPDATE state SET position = ? WHERE position < ?", (self.store.position,) * 2)
                self._next_expiry = self.store.next_expiry()
        except BaseException:
            for undo in reversed(self.undo):
                undo()
            self.consumers.index()
            self.router.touched.clear()
            self._seen = None
            self.remade.clear()
            self._bound = self._members = self.catalog.version = 0
            raise
        return batches

    def read(self, works: Sequence[Work]) -> None:
        """Do what changes nothing, without taking a turn."""
        self.connection.execute("BEGIN")
        try:
            self._look(self.connection)
            for work in works:
                work.run(self)
        finally:
            self.connection.execute("ROLLBACK")

    def stirred(self) -> bool:
        """Whether `poll` may find anything. Costs next to nothing."""
        return self.file.stirred() or self.consumers.left or self.due()

    def poll(self) -> bool:
        """Whether there is something to write: for a consumer, an expiry, or after a change of the topology."""
        known = self.catalog.version
        if self.connection.execute("PRAGMA data_version").fetchone()[0] != self._seen:
            self.read(())
        self.consumers.tick()
        return self.due() or self._expelled or (self.catalog.version != known and bool(self.consumers.all))

    def due(self) -> bool:
        """Whether something can be delivered or has expired, as far as this connection knows."""
        wait = self.until_expiry()
        return (wait is not None and wait <= 0) or bool(self.consumers.deliverable())

    def until_expiry(self) -> float | None:
        """Seconds until the next entry expires."""
        return None if self._next_expiry is None else self._next_expiry - self.clock()

    def news(self) -> list[tuple[str, BrokerError | None]]:
        """Queues of consumers that were lost or came back since the last call."""
        if self._told == self.catalog.version:
            return []
        self._told = self.catalog.version
        wanted = {each.queue for each in self.consumers.all.values() if each.open and each.temporary is None}
        missing = wanted - self.catalog.queues.keys()
        news: list[tuple[str, BrokerError | None]] = [
            (queue, QueueMissing(f"The queue {queue!r} was deleted.", hint="It is consumed again once it is declared."))
            for queue in sorted(missing - self._missing)
        ]
        news += [(queue, None) for queue in sorted((self._missing - missing) & wanted)]
        self._missing = missing
        return news

    def topology_changed(self) -> None:
        """Tell everyone, and act on it here."""
        (version,) = self.connection.execute("UPDATE state SET topology = topology + 1 RETURNING topology").fetchone()
        self.catalog.load(self.connection, version)
        self.router.free_limbo(self.clock())
        self._bind()

    def enrol(self, consumer: Consumer) -> None:
        """Let the other connections know of a consumer, or that it is gone."""
        for table in ("consumers", "line"):
            self.connection.execute(
                f"DELETE FROM {table} WHERE connection = ? AND number = ?",  # noqa: S608
                self._key(consumer),
            )
        if consumer.open and consumer.queue_id is not None:
            self.connection.execute("INSERT INTO consumers VALUES (?, ?, ?)", (*self._key(consumer), consumer.queue_id))
            if consumer.queue_id in self.catalog.single:
                self.connection.execute(
                    "INSERT INTO line (queue, connection, number) VALUES (?, ?, ?)",
                    (consumer.queue_id, *self._key(consumer)),
                )
        (members,) = self.connection.execute("UPDATE state SET members = members + 1 RETURNING members").fetchone()
        if self._members == members - 1:
            self._members = members  # the others are as they were
        self._take_turns(self.connection)

    def _take_turns(self, connection: sqlite3.Connection) -> None:
        """Of the consumers of a queue that delivers to one at a time the one that came first is active."""
        self.consumers.single = single = self.catalog.single
        mine = self.consumers.all.values()
        first: dict[int, tuple[int, int]] = {}
        if not single.isdisjoint(consumer.queue_id for consumer in mine):
            for queue, *key in connection.execute(
                # A program from before this table may have dismissed a connection and left it here.
                "SELECT queue, connection, number FROM line JOIN consumers USING (connection, number, queue) ORDER BY place"
            ):
                first.setdefault(queue, (key[0], key[1]))
        for consumer in mine:
            queue_id = consumer.queue_id
            consumer.active = queue_id not in single or first.get(queue_id or 0) == self._key(consumer)

    def _key(self, consumer: Consumer) -> tuple[int, int]:
        return self.member.id, consumer.number

    def _look(self, connection: sqlite3.Connection) -> tuple[str, int]:
        """Bring what is remembered up to date; the identity of the file and its last position."""
        seen = connection.execute("PRAGMA data_version").fetchone()[0]
        identity, topology, members, position = connection.execute(
            "SELECT identity, topology, members, position FROM state"
        ).fetchone()
        if topology != self.catalog.version:
            self.catalog.load(connection, topology)
        if members != self._members:
            self.consumers.others = dict(
                connection.execute(
                    "SELECT queue, count(*) FROM consumers WHERE connection != ? GROUP BY queue", (self.member.id,)
                ).fetchall()
            )
            self._members = members
            self._take_turns(connection)
            self._expelled = not self.member.is_known(connection)
        if seen != self._seen:
            self.consumers.ready = self.store.waiting()
            self._next_expiry = self.store.next_expiry()
            self._seen = seen
        return identity, position

    def _refresh(self, connection: sqlite3.Connection) -> None:
        """Begin a write: what is remembered is up to date, and this connection is a member."""
        identity, self.store.position = self._look(connection)
        if not self.member.is_known(connection):
            self._join(connection)
        if identity != self._identity:
            for topology in self.declared:
                if self.catalog.declare(connection, topology):
                    self.topology_changed()
            self._identity = identity
        self._bind()
        lost = [each for each in self.consumers.all.values() if each.temporary and each.queue_id is None and each.open]
        if lost:
            for consumer in lost:
                self.make_temporary(consumer)
            self.topology_changed()
            self.remade += lost

    def make_temporary(self, consumer: Consumer) -> None:
        """Make the queue that is a consumer's own; the topology has changed then."""
        if consumer.temporary is not None:
            self.store.make_temporary(consumer.queue, self.member.id, *consumer.temporary)

    def _join(self, connection: sqlite3.Connection) -> None:
        """Become a member: at the start, or when others took this connection for dead."""
        self.member.join(connection, self.clock())
        self._generation += 1
        self._bound = 0
        self._members = 0
        for consumer in self.consumers.all.values():
            consumer.unacked = {}  # others have it back
            consumer.queue_id = None
        if self.member.reap(connection, self.store, self.router, self.clock()):
            self.topology_changed()

    def _bind(self) -> None:
        """Consumers find their queues by name: one that was deleted may be back under another id."""
        if self._bound == self.catalog.version:
            return
        self._bound = self.catalog.version
        changed = False
        for consumer in self.consumers.all.values():
            queue = self.catalog.queues.get(consumer.queue)
            queue_id = None if queue is None else queue.id
            if queue_id != consumer.queue_id:
                changed = True
                self.undo.append(_rebinding(consumer))
                consumer.queue_id = queue_id
                consumer.unacked = {}  # what was out went with the queue
                self.enrol(consumer)
        if changed:
            self.consumers.index()
        self._take_turns(self.connection)


def _rebinding(consumer: Consumer) -> Callable[[], None]:
    queue_id, unacked = consumer.queue_id, consumer.unacked

    def undo() -> None:
        consumer.queue_id, consumer.unacked = queue_id, unacked

    return undo


def _taking_back(batch: Batch) -> Callable[[], None]:
    def undo() -> None:
        for delivery in batch.deliveries:
            batch.consumer.unacked.pop(delivery.tag, None)

    return undo
