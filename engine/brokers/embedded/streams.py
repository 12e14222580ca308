"""Streams in a broker file: entries that are only added, in segments that retention drops whole.

As on RabbitMQ retention is looked after when a segment is full, and the last segment always stays.
"""

# ruff: noqa: S608  (what is spliced into statements are constants of this package)

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from engine.brokers.base import Entry, Span
from engine.brokers.embedded.catalog import QueueInfo
from engine.brokers.embedded.encoding import COLUMNS, Row, decode
from engine.errors import DecodingError, QueueMissing, TopologyMismatch
from engine.model.message import Delivery, Message

if TYPE_CHECKING:
    from engine.brokers.embedded.session import Session

#: What is read in one go, in bytes of bodies.
MAX_READ: Final = 8 << 20
#: What an entry takes besides its headers and its body, roughly, in bytes.
OVERHEAD: Final = 64
#: A header that on RabbitMQ is the broker's own.
OFFSET: Final = "x-stream-offset"

_INSERT: Final = (
    f"INSERT INTO entries (queue, position, time, {COLUMNS}) VALUES (?, ?, ?{', ?' * len(COLUMNS.split(','))})"
)
#: No stream comes so far.
MAX_OFFSET: Final = 2**62


class Log:
    """The streams of one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def append(self, queue: QueueInfo, rows: Sequence[Row], now: float) -> None:
        """Add messages to a stream, in a write transaction."""
        assert queue.stream is not None
        first, place, size, newest = self._last(queue) or (0, 0, 0, 0.0)
        # Times only grow, so that they can be searched.
        now = max(now, newest)
        added: list[Row] = []
        full = False
        for row in rows:
            if size >= queue.stream.segment_bytes:
                self._put(queue, first, place, size, now)
                first, size, full = place, 0, True
            added.append((queue.id, place, now, *row))
            size += OVERHEAD + len(row[-1]) + len(row[-2] or "")
            place += 1
        self._connection.executemany(_INSERT, added)
        self._put(queue, first, place, size, now)
        if full:
            self._retain(queue, now)

    def _last(self, queue: QueueInfo) -> tuple[int, int, int, float] | None:
        row: tuple[int, int, int, float] | None = self._connection.execute(
            "SELECT first, next, bytes, newest FROM segments WHERE queue = ? ORDER BY first DESC LIMIT 1", (queue.id,)
        ).fetchone()
        return row

    def _put(self, queue: QueueInfo, *segment: float) -> None:
        self._connection.execute("INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?)", (queue.id, *segment))

    def _retain(self, queue: QueueInfo, now: float) -> None:
        """Drop the first segments as long as the stream is too large, or they are too old."""
        assert queue.stream is not None
        oldest, largest = queue.stream.max_age, queue.stream.max_bytes
        segments = self._connection.execute(
            "SELECT next, bytes, newest FROM segments WHERE queue = ? ORDER BY first", (queue.id,)
        ).fetchall()
        size = sum(each for _, each, _ in segments)
        begin = 0
        for after, each, newest in segments[:-1]:
            if not (largest is not None and size > largest) and not (oldest is not None and newest < now - oldest):
                break
            size -= each
            begin = after
        if begin:
            self._connection.execute("DELETE FROM entries WHERE queue = ? AND position < ?", (queue.id, begin))
            self._connection.execute("DELETE FROM segments WHERE queue = ? AND next <= ?", (queue.id, begin))

    def span(self, queue: QueueInfo) -> tuple[int, int]:
        """The first offset, and the one after the last."""
        first, after = self._connection.execute(
            "SELECT min(first), max(next) FROM segments WHERE queue = ?", (queue.id,)
        ).fetchone()
        return (0, 0) if first is None else (first, after)

    def offset_at(self, queue: QueueInfo, moment: float) -> int:
        """The first offset that was written at a time or later."""
        low, high = self.span(queue)
        while low < high:
            middle = (low + high) // 2
            (written,) = self._connection.execute(
                "SELECT time FROM entries WHERE queue = ? AND position = ?", (queue.id, middle)
            ).fetchone()
            low, high = (middle + 1, high) if written < moment else (low, middle)
        return low

    def read(self, queue: QueueInfo, offset: int, limit: int) -> list[Entry]:
        """So many entries from an offset on, or fewer if they are large."""
        found: list[Entry] = []
        size = 0
        for place, exchange, key, *properties in self._connection.execute(
            f"SELECT position, {COLUMNS} FROM entries WHERE queue = ? AND position >= ? ORDER BY position LIMIT ?",
            (queue.id, min(max(offset, 0), MAX_OFFSET), limit),
        ):
            found.append(Entry(place, _delivery(queue.name, place, exchange, key, properties)))
            size += len(properties[-1])
            if size > MAX_READ:
                break
        return found


def span(session: Session, name: str, since: float | None) -> Span:
    """What a stream holds; raises `QueueMissing`, and `TopologyMismatch` for another queue."""
    queue = _stream(session, name)
    log = Log(session.connection)
    first, after = log.span(queue)
    return Span(first if since is None else log.offset_at(queue, since), after)


def entries(session: Session, name: str, number: int | None, offset: int, limit: int) -> tuple[int, list[Entry]]:
    """Entries of a stream, and its number, which the next call is to give: by then it may be another of its name.

    Raises `QueueMissing`.
    """
    queue = _stream(session, name)
    if number is not None and queue.id != number:
        raise QueueMissing(f"The stream {name!r} was deleted while it was read.")
    return queue.id, Log(session.connection).read(queue, offset, limit)


def _stream(session: Session, name: str) -> QueueInfo:
    queue = session.catalog.queues.get(name)
    if queue is None:
        raise QueueMissing(f"There is no stream {name!r} on the broker.", hint="A worker declares it at its start.")
    if queue.stream is None:
        raise TopologyMismatch(f"The queue {name!r} is no stream.", hint="It is of another x-queue-type.")
    return queue


def _delivery(stream: str, offset: int, exchange: str, key: str, properties: Row) -> Delivery:
    defect = None
    try:
        message = decode(properties)
        if OFFSET in message.headers:
            message.headers = {name: value for name, value in message.headers.items() if name != OFFSET}
    except DecodingError as error:
        message, defect = Message(properties[-1]), str(error)
    return Delivery(stream, message, offset, 0, exchange, key, False, defect)
