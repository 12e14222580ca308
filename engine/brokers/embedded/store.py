"""The messages of a broker file: entries that are made, taken, returned and removed, in plain SQL.

All of it runs inside a write transaction. Statements work on whole sets where they can:
each step of a statement lets go of the interpreter's lock and has to get it back.
"""

# ruff: noqa: S608  (what is spliced into statements are constants of this package)

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

from engine.brokers.embedded.catalog import QueueInfo
from engine.brokers.embedded.encoding import COLUMNS, PROPERTIES, Row

#: The connection of dead letters that no queue wants as yet.
LIMBO: Final = 0

#: Rows in one INSERT statement.
CHUNK: Final = 32

#: What `take` reads in one go, in bytes of bodies.
MAX_TAKE: Final = 8 << 20

_ENTRY: Final = "queue, position, content, shared, returns, expires, exchange, routing_key"
_LISTED: Final = "IN (SELECT value FROM json_each(?))"


class Held(NamedTuple):
    """An entry that is out: its place, its message, and whether other queues hold that too."""

    position: int
    content: int
    shared: bool


class Taken(NamedTuple):
    """An entry as it is taken off a queue."""

    held: Held
    returns: int
    exchange: str
    routing_key: str
    properties: Row


class Standing(NamedTuple):
    """How a broker file stands: `busy` entries can move now, `waiting` ones expire later, the first at `due`.

    Busy is what is out with a consumer, has expired, or waits in a queue that is consumed.
    """

    busy: int
    waiting: int
    due: float | None


class Store:
    """Entries and contents. `position` is the last one given out, kept in the file's state."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.position = 0

    def add(self, routed: Sequence[tuple[Row, Sequence[QueueInfo]]], now: float) -> None:
        """Write messages, each with an entry in the queues it was routed to."""
        contents: list[Row] = []
        entries: list[tuple[Any, ...]] = []
        shares: list[tuple[int, int]] = []
        position = self.position
        for row, queues in routed:
            content = position + 1
            contents.append((content, *row))
            if len(queues) > 1:
                shares.append((content, len(queues)))
            for queue in queues:
                position += 1
                expires = None if queue.ttl is None else now + queue.ttl
                entries.append((queue.id, position, content, len(queues) > 1, 0, expires, None, None))
        self.position = position
        self._insert("contents", f"id, {COLUMNS}", contents)
        self._insert("ready", _ENTRY, entries)
        self._insert("shares", "content, holders", shares)

    def take(self, queue: int, connection: int, limit: int, now: float) -> tuple[list[Taken], bool]:
        """The first entries of a queue, out with the connection from now on, and whether there are no more."""
        taken: list[Taken] = []
        size = 0
        exhausted = True
        for position, content, shared, returns, expires, exchange, key, *properties in self.connection.execute(
            "SELECT r.position, r.content, r.shared, r.returns, r.expires,"
            " coalesce(r.exchange, c.exchange), coalesce(r.routing_key, c.routing_key),"
            f" {PROPERTIES} FROM ready r CROSS JOIN contents c ON c.id = r.content"
            " WHERE r.queue = ? ORDER BY r.position LIMIT ?",
            (queue, limit),
        ):
            if size > MAX_TAKE or (expires is not None and expires <= now):
                exhausted = False
                break
            size += len(properties[-1])
            taken.append(Taken(Held(position, content, bool(shared)), returns, exchange, key, properties))
        if taken:
            self._move(queue, taken[-1].held.position, connection)
        return taken, exhausted and len(taken) < limit

    def take_oldest(self, queue: int, count: int) -> list[int]:
        """Take the first entries off a queue as dead letters; their positions."""
        positions = [
            position
            for (position,) in self.connection.execute(
                "SELECT position FROM ready WHERE queue = ? ORDER BY position LIMIT ?", (queue, count)
            )
        ]
        if positions:
            self._move(queue, positions[-1], LIMBO)
        return positions

    def _move(self, queue: int, last: int, connection: int) -> None:
        """Entries up to a position go out."""
        self.connection.execute(
            "INSERT INTO unacked SELECT position, ?, queue, content, shared, returns, expires, exchange, routing_key"
            " FROM ready WHERE queue = ? AND position <= ?",
            (connection, queue, last),
        )
        self.connection.execute("DELETE FROM ready WHERE queue = ? AND position <= ?", (queue, last))

    def take_expired(self, now: float, limit: int) -> list[int]:
        """Take entries whose time is over off their queues as dead letters; their positions."""
        expired = self.connection.execute(
            "SELECT queue, position FROM ready WHERE expires <= ? ORDER BY expires, position LIMIT ?", (now, limit)
        ).fetchall()
        positions = [position for _, position in expired]
        for queue in {queue for queue, _ in expired}:
            listed = json.dumps([position for number, position in expired if number == queue])
            self.connection.execute(
                f"INSERT INTO unacked SELECT position, {LIMBO}, queue, content, shared, returns, expires, exchange,"
                f" routing_key FROM ready WHERE queue = ? AND position {_LISTED}",
                (queue, listed),
            )
            self.connection.execute(f"DELETE FROM ready WHERE queue = ? AND position {_LISTED}", (queue, listed))
        return positions

    def next_expiry(self) -> float | None:
        """When the next entry expires."""
        row = self.connection.execute(
            "SELECT expires FROM ready WHERE expires IS NOT NULL ORDER BY expires LIMIT 1"
        ).fetchone()
        return None if row is None else row[0]

    def settle(self, held: Sequence[Held]) -> None:
        """Remove entries that are out, and messages with the last of their entries."""
        self.connection.execute(
            f"DELETE FROM unacked WHERE position {_LISTED}", (json.dumps([entry.position for entry in held]),)
        )
        self.release((entry.content, entry.shared) for entry in held)

    def release(self, contents: Iterable[tuple[int, bool]]) -> None:
        """One entry fewer holds each of these messages."""
        sole: list[int] = []
        shared: list[tuple[int]] = []
        for content, is_shared in contents:
            if is_shared:
                shared.append((content,))
            else:
                sole.append(content)
        if shared:
            self.connection.executemany("UPDATE shares SET holders = holders - 1 WHERE content = ?", shared)
            listed = json.dumps([content for (content,) in shared])
            sole += [
                content
                for (content,) in self.connection.execute(
                    f"DELETE FROM shares WHERE content {_LISTED} AND holders <= 0 RETURNING content", (listed,)
                ).fetchall()
            ]
        if sole:
            self.connection.execute(f"DELETE FROM contents WHERE id {_LISTED}", (json.dumps(sole),))

    def put_back(self, positions: Sequence[int]) -> None:
        """Entries that were out return to their places in their queues."""
        listed = json.dumps(positions)
        self.connection.execute(
            f"INSERT INTO ready SELECT queue, position, content, shared, returns + 1, expires, exchange, routing_key"
            f" FROM unacked WHERE position {_LISTED}",
            (listed,),
        )
        self.connection.execute(f"DELETE FROM unacked WHERE position {_LISTED}", (listed,))

    def returning(self, positions: Sequence[int]) -> list[tuple[int, int, int]]:
        """Position, queue and returns so far of entries that are out."""
        return self.connection.execute(
            f"SELECT position, queue, returns FROM unacked WHERE position {_LISTED} ORDER BY position",
            (json.dumps(positions),),
        ).fetchall()

    def move_to_limbo(self, positions: Sequence[int]) -> None:
        """Entries that are out wait for a queue that wants them as dead letters."""
        self.connection.execute(
            f"UPDATE unacked SET connection = {LIMBO} WHERE position {_LISTED}", (json.dumps(positions),)
        )

    def held_by(self, connection: int) -> list[int]:
        """The positions of the entries that are out with a connection."""
        return [
            position
            for (position,) in self.connection.execute(
                "SELECT position FROM unacked WHERE connection = ? ORDER BY position", (connection,)
            )
        ]

    def letters(self, positions: Sequence[int]) -> list[tuple[Held, int, str]]:
        """Entries that are out, with their queue and routing key, in the order of their positions."""
        return [
            (Held(position, content, bool(shared)), queue, key)
            for position, content, shared, queue, key in self.connection.execute(
                "SELECT u.position, u.content, u.shared, u.queue, coalesce(u.routing_key, c.routing_key)"
                f" FROM unacked u CROSS JOIN contents c ON c.id = u.content WHERE u.position {_LISTED}"
                " ORDER BY u.position",
                (json.dumps(positions),),
            ).fetchall()
        ]

    def forward(self, letters: Sequence[tuple[Held, Sequence[QueueInfo], str, str]], now: float) -> None:
        """Dead letters leave what they were out of for the ends of other queues, by an exchange and key."""
        entries: list[tuple[Any, ...]] = []
        more: list[tuple[int, int]] = []
        for held, queues, exchange, key in letters:
            shared = held.shared or len(queues) > 1
            if len(queues) > 1:
                more.append((held.content, len(queues)))
            for queue in queues:
                self.position += 1
                expires = None if queue.ttl is None else now + queue.ttl
                entries.append((queue.id, self.position, held.content, shared, 0, expires, exchange, key))
        self._insert("ready", _ENTRY, entries)
        self.connection.executemany(
            "INSERT INTO shares VALUES (?1, ?2) ON CONFLICT DO UPDATE SET holders = holders + ?2 - 1", more
        )
        self.connection.execute(
            f"DELETE FROM unacked WHERE position {_LISTED}",
            (json.dumps([held.position for held, _, _, _ in letters]),),
        )

    def count(self, queue: int, limit: int = -1) -> int:
        """How many entries wait in a queue, or the limit where there are more."""
        counted = self.connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM ready WHERE queue = ? LIMIT ?)", (queue, limit)
        ).fetchone()
        return int(counted[0])

    def standing(self, now: float) -> Standing:
        """What moves now, and what moves later."""
        busy, waiting, due = self.connection.execute(
            "SELECT count(*) FILTER (WHERE expires IS NULL OR expires <= ?1),"
            " count(*) FILTER (WHERE expires > ?1), min(expires) FILTER (WHERE expires > ?1)"
            " FROM ready WHERE expires IS NOT NULL OR queue IN (SELECT queue FROM consumers)",
            (now,),
        ).fetchone()
        out = self.connection.execute("SELECT count(*) FROM unacked WHERE connection != ?", (LIMBO,)).fetchone()[0]
        return Standing(busy + out, waiting, due)

    def waiting(self) -> set[int]:
        """The queues that are not empty, found by leaps and not by reading them."""
        return {
            number
            for (number,) in self.connection.execute(
                "WITH RECURSIVE leap (queue) AS ("
                " SELECT min(queue) FROM ready UNION ALL"
                " SELECT (SELECT min(queue) FROM ready WHERE queue > leap.queue) FROM leap WHERE queue IS NOT NULL"
                ") SELECT queue FROM leap WHERE queue IS NOT NULL"
            )
        }

    def delete_queue(self, queue: int) -> int:
        """Delete a queue with its entries; how many were waiting."""
        waiting = self.connection.execute(
            "DELETE FROM ready WHERE queue = ? RETURNING content, shared", (queue,)
        ).fetchall()
        out = self.connection.execute(
            "DELETE FROM unacked WHERE queue = ? RETURNING content, shared", (queue,)
        ).fetchall()
        self.release(chain(waiting, out))
        for table in ("bindings", "consumers", "temporary", "entries", "segments", "line"):
            self.connection.execute(f"DELETE FROM {table} WHERE queue = ?", (queue,))
        self.connection.execute("DELETE FROM queues WHERE id = ?", (queue,))
        return len(waiting)

    def make_temporary(self, name: str, connection: int, exchange: str, patterns: Sequence[str]) -> None:
        """Make a queue that goes with a connection, bound to these patterns of an exchange; none where it is ""."""
        (queue,) = self.connection.execute(
            "INSERT INTO queues (name, arguments) VALUES (?, '{}') RETURNING id", (name,)
        ).fetchone()
        self.connection.execute("INSERT INTO temporary VALUES (?, ?)", (queue, connection))
        self.connection.executemany(
            "INSERT OR IGNORE INTO bindings VALUES (?, ?, ?)", [(exchange, queue, pattern) for pattern in patterns]
        )

    def temporary_of(self, connection: int) -> list[int]:
        """The queues that go with a connection."""
        return [
            queue
            for (queue,) in self.connection.execute("SELECT queue FROM temporary WHERE connection = ?", (connection,))
        ]

    def delete_exchange(self, exchange: str) -> None:
        """Delete an exchange with its bindings."""
        self.connection.execute("DELETE FROM bindings WHERE exchange = ?", (exchange,))
        self.connection.execute("DELETE FROM exchanges WHERE name = ?", (exchange,))

    def _insert(self, table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        one = f"({', '.join('?' * len(rows[0]))})"
        whole = len(rows) - len(rows) % CHUNK
        if whole:
            many = f"INSERT INTO {table} ({columns}) VALUES {', '.join([one] * CHUNK)}"
            for start in range(0, whole, CHUNK):
                self.connection.execute(many, tuple(chain.from_iterable(rows[start : start + CHUNK])))
        self.connection.executemany(f"INSERT INTO {table} ({columns}) VALUES {one}", rows[whole:])
