"""Replay from the journal's stream: a span of its offsets goes through a filter to one named handler, and to nobody else.

    filter + handler ─▶ plan (a frozen span, counted) ─▶ start (a recorded operation) ─▶ workers perform it

A plan reads the span once, and changes nothing. Nothing of it is copied into the database: what is sent is read from
the stream again (see engine/runtime/stream_replaying.py).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.brokers.base import Span
from engine.errors import DecodingError
from engine.model.operation import Cursor, Operation, Options, default_options
from engine.model.replay import SENT, Verdict, judge
from engine.operations.operator import Operator
from engine.operations.orders import Order, new_operation_id, order
from engine.operations.replay import GROUP, Target, filter_dict
from engine.operations.stream_events import Source
from engine.runtime.intake import body_hash
from engine.runtime.stream_log import means, read_event, scan
from engine.runtime.stream_replaying import NAME
from engine.storage import records
from engine.storage.database import Database
from engine.storage.event_log import EventDetail
from engine.storage.event_search import EventFilter

if TYPE_CHECKING:
    from sqlalchemy import Connection


class StreamPlan(NamedTuple):
    """What a replay would do. `operation` is the id it would have; `span` has the offsets it would read.

    `unreadable` entries are no events; `reason` says why the first of them is none. `known` and `kinds` count the events that
    the filter means, by verdict, and those that would be sent, by type.
    """

    operation: str
    target: Target
    stream: str
    span: Span
    wanted: EventFilter
    max_body: int
    known: Counter[Verdict]
    kinds: Counter[str]
    unreadable: int
    reason: str

    @property
    def to_send(self) -> int:
        """How many events would be sent, as things stand."""
        return sum(self.known[verdict] for verdict in SENT)

    @property
    def matched(self) -> int:
        """How many events the filter means."""
        return self.known.total()

    def verdicts(self) -> Counter[Verdict]:
        """How many there are of each verdict."""
        return self.known

    def types(self) -> Counter[str]:
        """How many events of each type would be sent."""
        return self.kinds

    def asked(self) -> dict[str, Any]:
        """What the operation has to know of it, as JSON has it."""
        return {
            "handler": self.target.handler,
            "patterns": list(self.target.patterns),
            "stream": self.stream,
            "span": list(self.span),
            "filter": filter_dict(self.wanted),
            "max_body": self.max_body,
            "matched": self.matched,
            "unreadable": self.unreadable,
            "verdicts": {str(verdict): count for verdict, count in self.known.items()},
            "types": dict(self.kinds),
            "queues": {self.target.queue: self.to_send},
        }


async def plan(
    database: Database,
    source: Source,
    wanted: EventFilter,
    target: Target,
    *,
    span: Span,
    advance: Callable[[int], None] = lambda _: None,
) -> StreamPlan:
    """Read what a replay of these events to this handler would read. `span` is what `stream_events.bounds` told.

    `advance` hears how many offsets more were looked at. Raises `QueueMissing` without the stream, and `BrokerUnavailable`.
    """
    holds = means(wanted)
    known: Counter[Verdict] = Counter()
    kinds: Counter[str] = Counter()
    unreadable, reason, place = 0, "", span.first
    group: list[EventDetail] = []

    async def count() -> None:
        for verdict, kind in await database.read(partial(_judged, group, target)):
            known[verdict] += 1
            kinds[kind] += verdict in SENT
        group.clear()

    async with contextlib.aclosing(scan(source.broker, source.stream, span)) as entries:
        async for entry in entries:
            try:
                event = read_event(entry, source.limits)
            except DecodingError as error:
                unreadable += 1
                reason = reason or f"{entry.offset:,}: {error.message}"
            else:
                if holds(event.row):
                    group.append(event)
            if len(group) >= GROUP or entry.offset + 1 - place >= GROUP:
                advance(entry.offset + 1 - place)
                place = entry.offset + 1
                await count()
    await count()
    if (await source.broker.depths([target.queue]))[target.queue] is None:
        gone = sum(known.pop(verdict, 0) for verdict in SENT)
        known[Verdict.NO_QUEUE] += gone
        kinds.clear()
    operation = new_operation_id(NAME)
    return StreamPlan(
        operation, target, source.stream, span, wanted, source.limits.size, +known, +kinds, unreadable, reason
    )


async def start(
    database: Database, made: StreamPlan, *, app: str, operator: Operator, why: str, options: Options | None = None
) -> Operation:
    """Record the replay of the span; workers perform it. `options` None means what is sensible.

    Raises `ReadOnly`, `UsageError` when there is nothing to send or the plan was started before, and `DatabaseUnavailable`.
    """
    operator.allow("replay messages")
    total = made.matched - made.known[Verdict.UNWANTED] if made.to_send else 0
    wanted = Order(
        id=made.operation,
        app=app,
        kind=NAME,
        asked=made.asked(),
        target=made.target.queue,
        subjects=(),
        options=default_options(made.to_send) if options is None else options,
        cursor=Cursor(made.span.first, {}),
        total=total,
    )
    return await order(database, wanted, operator=operator, why=why)


def _judged(events: Sequence[EventDetail], target: Target, connection: Connection) -> list[tuple[Verdict, str]]:
    """The verdict on each event, and its type."""
    if not events:
        return []
    known = records.fetch(connection, [(target.queue, event.row.event_id) for event in events])
    found: list[tuple[Verdict, str]] = []
    for event in events:
        row = event.row
        record = known.get((target.queue, row.event_id))
        verdict = judge(record, None if record is None else body_hash(event.message.body))
        found.append((verdict if target.wants(row.routing_key) else Verdict.UNWANTED, row.event_type))
    return found
