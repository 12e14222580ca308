"""Replaying a stream: a span of offsets goes to the queue of one handler, through a filter.

A log that outgrows a database is not copied into one. Of what it sends the operation writes down where it is in the
stream, and those events alone whose outcome is not known yet or was a failure; never more than `WINDOW` are
under way. The place moves on in the transaction that raises the records and fills the outbox, so after a kill -9 whoever
goes on begins behind what was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.brokers.base import Broker, Entry, Span
from engine.errors import BrokerError, DecodingError, QueueMissing
from engine.model.codec import Limits
from engine.model.operation import Cursor, Item, ItemState, Operation, State, advanced, allowed, counted
from engine.model.replay import Verdict
from engine.model.topology import topic_matches
from engine.runtime import clock
from engine.runtime.kind import Sent
from engine.runtime.performing import Group, Performance
from engine.runtime.replaying import cause_words, resend
from engine.runtime.stream_log import means, read_event, scan
from engine.storage import operations, outbox, replaying
from engine.storage.event_log import EventDetail, LoggedEvent
from engine.storage.event_search import EventFilter

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger("warren.operations")

#: The kind of operation.
NAME: Final = "stream-replay"
#: Events that were sent and have no outcome yet, at most; and how long nothing is heard of them, in seconds, until a group more is sent.
WINDOW, SILENCE = 10_000, 60.0
#: Entries that are read for one group at most, however few of them are meant.
LOOK = 5_000
#: Seconds after which a group is sent with what was read, and that the broker may be silent.
READING, PATIENCE = 1.0, 15.0
#: Verdict of what was not in the stream any more when it was to be sent.
_DROPPED = str(Verdict.GONE)
#: Verdict of what the database refuses.
_BROKEN = "broken"


class Asked(NamedTuple):
    """What such an operation needs to know: the stream, its span, which of its events are meant, and how they are read."""

    stream: str
    first: int
    next: int
    wanted: EventFilter
    patterns: tuple[str, ...]
    max_body: int

    def means(self) -> Callable[[LoggedEvent], bool]:
        """Whether an event is meant, and the handler asks for it."""
        holds, patterns = means(self.wanted), self.patterns

        def both(row: LoggedEvent) -> bool:
            return holds(row) and wants(patterns, row.routing_key)

        return both


def wants(patterns: Sequence[str], routing_key: str) -> bool:
    """Whether a handler asks for such events; one without patterns takes what it is sent."""
    return not patterns or any(topic_matches(pattern, routing_key) for pattern in patterns)


def asked_of(operation: Operation) -> Asked:
    """What was written down when it was ordered."""
    asked: Mapping[str, Any] = operation.asked
    told: Mapping[str, Any] = asked["filter"]
    names = ("types", "aggregate_type", "aggregate_id", "correlation_id", "event_ids", "source")
    wanted = EventFilter(**{name: told[name] for name in names if name in told})
    first, after = asked["span"]
    return Asked(asked["stream"], first, after, wanted, tuple(asked["patterns"]), asked["max_body"])


class StreamReplay:
    """The kind whose items are offsets of a stream. They are sent by `StreamPerformance`, which reads them."""

    name = NAME

    def send(
        self, connection: Connection, operation: Operation, items: Sequence[Item], now: float, gone: Collection[str]
    ) -> Sent:
        """Nothing: no item waits in the table."""
        return Sent([], [])

    def look(self, connection: Connection, operation: Operation, items: Sequence[Item]) -> list[Item]:
        found = replaying.outcomes(connection, operation.id, [item.position for item in items], streamed=True)
        return [item._replace(state=found[item.position]) for item in items if item.position in found]

    def queues(self, operation: Operation) -> list[str]:
        return [operation.target]

    def cause(self, connection: Connection, operation: Operation) -> str:
        return cause_words(replaying.commonest(connection, operation.id, streamed=True))


class Read(NamedTuple):
    """What was read for a group: the events that are meant, from the offset `begin` up to `next`."""

    begin: int
    next: int
    events: list[EventDetail]


class Lost(Exception):
    """The stream is not the one that was planned with; says why."""


class Reader:
    """Reads on in the stream of an operation, from group to group."""

    def __init__(self, broker: Broker, asked: Asked) -> None:
        self._broker = broker
        self._asked = asked
        self._means = asked.means()
        self._limits = Limits(size=asked.max_body)
        self._entries: AsyncGenerator[Entry, None] | None = None
        self._place = -1

    async def take(self, begin: int, count: int) -> Read:
        """The next events that are meant, `count` at most, or none where there are none for long.

        Raises `Lost`, and `BrokerError` where the broker cannot be read now.
        """
        events: list[EventDetail] = []
        after = self._asked.next
        if self._entries is None or self._place != begin:
            await self.close()
            span = await self._span()
            if span.next < after:
                raise Lost(f"the stream {self._asked.stream} was made anew: it ends at {span.next:,}, not at {after:,}")
            self._entries, self._place = scan(self._broker, self._asked.stream, Span(begin, after)), begin
        enough = time.monotonic() + READING
        for _ in range(LOOK):
            entry = await anext(self._entries, None)
            if entry is None:
                self._place = after
                break
            self._place = entry.offset + 1
            with contextlib.suppress(DecodingError):  # the plan told how many cannot be read
                event = read_event(entry, self._limits)
                if self._means(event.row):
                    events.append(event)
            if len(events) >= count or time.monotonic() > enough:
                break
        return Read(begin, self._place, events)

    async def _span(self) -> Span:
        try:
            return await self._broker.span(self._asked.stream)
        except QueueMissing:
            raise Lost(f"the stream {self._asked.stream} is not on the broker any more") from None

    async def close(self) -> None:
        """Read no more for now."""
        entries, self._entries = self._entries, None
        if entries is not None:
            await entries.aclose()


class StreamPerformance(Performance):
    """Performs the replay of a stream under the lease of the operation."""

    _reader: Reader | None = None

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            if self._reader is not None:
                await self._reader.close()

    def _allowed(self, operation: Operation) -> int:
        room = WINDOW - operation.pending
        if room <= 0 and self._verifies and clock.now() - operation.changed > SILENCE:
            room = self._size
        return max(min(allowed(operation), room), 0)

    async def _send(self, count: int) -> Operation | None:
        operation = await self._read()
        if operation is None or operation.cursor is None:
            return None
        if self._reader is None:
            self._reader = Reader(self._broker, asked_of(operation))
        try:
            async with asyncio.timeout(PATIENCE):
                read = await self._reader.take(operation.cursor.next, count)
        except Lost as lost:
            return await self._database.write(partial(self._stop_for, str(lost)))
        except (BrokerError, TimeoutError) as error:
            logger.warning("operation %s waits for the stream: %s", self.id, error)
            await self._reader.close()
            await self._sleep(1.0)
            return await self._read()
        self._next_read = read
        return await super()._send(count)

    async def _group(self, count: int) -> Callable[[Connection], Group | None]:
        return partial(self._send_read, self._next_read, self._gone, self._pace, None)

    def _send_read(
        self, read: Read, gone: Collection[str], pace: float, verdict: str | None, connection: Connection
    ) -> Group | None:
        """Send a group that was read, unless somebody else has since; with a verdict leave it alone for that."""
        before = self._mine(connection)
        if before is None:
            return None
        cursor = before.cursor
        if cursor is None or cursor.next != read.begin or not allowed(before):
            return Group(before, [])
        now = clock.now()
        done = before.sent + before.skipped
        items = [
            Item(done + number, event.row.position, ItemState.WAITING, "", None, now)
            for number, event in enumerate(read.events, 1)
        ]
        details = {event.row.position: event for event in read.events}
        if verdict is None:
            sent = resend(connection, before.target, details, items, now, gone, since=before.started)
        else:
            sent = Sent([], [item._replace(state=ItemState.SKIPPED, verdict=verdict) for item in items])
        outbox.add(connection, self._owner, sent.rows)
        under_way = [item for item in sent.items if item.state is ItemState.SENT]
        ids = {event.row.position: event.row.event_id for event in read.events}
        operations.add_sent(connection, self.id, under_way, ids)
        after = _moved(counted(before, sent.items, now), read.next, sent.items, asked_of(before).next)
        after = advanced(after._replace(changed=now), now)
        self._put(connection, before, after._replace(pace=pace if after.state is State.RUNNING else 0.0), now)
        return Group(after, sent.rows)

    async def _isolate(self, count: int) -> Operation | None:
        """A group that cannot be sent: try smaller ones; an event that cannot be sent alone is left alone."""
        read = self._next_read
        if self._reader is not None:
            await self._reader.close()
        if len(read.events) > 1 or not read.events:
            self._size = max(count // 8, 1)
            return await self._read()
        left = await self._database.write(partial(self._send_read, read, self._gone, self._pace, _BROKEN))
        return None if left is None else left.operation

    def _settle(self, found: list[Item], connection: Connection) -> Operation | None:
        after = super()._settle(found, connection)
        if after is not None:
            operations.drop_succeeded(connection, self.id)
        return after

    def _stop_for(self, reason: str, connection: Connection) -> Operation | None:
        before = self._mine(connection)
        if before is None:
            return None
        stopped = before._replace(state=State.STOPPED, pace=0.0, note=reason)
        return self._put(connection, before, stopped, clock.now())


def _moved(operation: Operation, place: int, items: Sequence[Item], end: int) -> Operation:
    """The operation with its cursor behind what was dealt with. At the end, what the plan had seen and is not there was dropped."""
    assert operation.cursor is not None
    skipped = Counter(operation.cursor.skipped)
    skipped.update(item.verdict for item in items if item.state is ItemState.SKIPPED)
    total = max(operation.total, operation.sent + operation.skipped)
    if place >= end:
        missing = total - operation.sent - operation.skipped
        if missing:
            skipped[_DROPPED] += missing
        operation = operation._replace(skipped=operation.skipped + missing)
    return operation._replace(total=total, cursor=Cursor(place, dict(skipped)))
