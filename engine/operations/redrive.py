"""Redrive: failed messages go back to their own queues, each once.

    filter ─▶ plan (frozen ids, verdicts) ─▶ execute (in groups) ─▶ relay ─▶ verify

A plan changes nothing. Executing judges each failure again, in the transaction that raises
the run of its record, puts the message into the outbox, marks the failure and writes the
audit: whatever happened since the plan was made, a message is never sent twice.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from engine.brokers.base import Broker
from engine.model import headers as names
from engine.model.message import HeaderValue
from engine.model.outgoing import Kind, Outgoing
from engine.model.record import Record
from engine.operations.verdict import SENT, Verdict, judge, revived
from engine.operations.writing import write
from engine.runtime.ids import new_id
from engine.runtime.keys import key_hash
from engine.storage import audit, failure_search, failures, outbox, records
from engine.storage.database import Database
from engine.storage.failure_search import Filter
from engine.storage.failures import FailureDetail, Outcome, Status

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Failures that are read or redriven in one transaction.
GROUP = 200

#: Seconds between two looks at what became of redriven messages.
LOOK_INTERVAL = 0.3

#: Redrives take turns on PostgreSQL, since it lets two of them read the same records ("REDRIVE").
_ADVISORY_LOCK = 0x52454452495645


class Item(NamedTuple):
    """A failure in a plan."""

    failure_id: int
    queue: str
    verdict: Verdict


class Plan(NamedTuple):
    """What a redrive would do: the failures, frozen by their ids."""

    operation: str
    items: tuple[Item, ...]
    again: bool

    @property
    def ids(self) -> list[int]:
        """The failures that would be sent."""
        return [item.failure_id for item in self.items if item.verdict in SENT]

    def verdicts(self) -> Counter[Verdict]:
        """How many there are of each verdict."""
        return Counter(item.verdict for item in self.items)

    def queues(self) -> Counter[str]:
        """How many messages each queue would get."""
        return Counter(item.queue for item in self.items if item.verdict in SENT)


class Done(NamedTuple):
    """What a redrive did: the failures that were sent, and the verdicts on all."""

    sent: list[int]
    verdicts: Counter[Verdict]


async def plan(database: Database, broker: Broker | None, wanted: Filter, *, again: bool = False) -> Plan:
    """What a redrive of these failures would do. Without a broker it is not known whether the queues exist."""
    ids = await database.read(lambda connection: failure_search.select_ids(connection, wanted))
    items: list[Item] = []
    for chunk in _chunks(ids):
        items += await database.read(lambda connection, chunk=chunk: _judged(connection, chunk, again))  # type: ignore[misc]
    there = {item.failure_id for item in items}
    items += [Item(missing, "", Verdict.UNKNOWN) for missing in wanted.ids or () if missing not in there]
    if broker is not None:
        depths = await broker.depths(sorted({item.queue for item in items if item.verdict in SENT}))
        items = [
            item._replace(verdict=Verdict.NO_QUEUE) if item.verdict in SENT and depths.get(item.queue) is None else item
            for item in items
        ]
    return Plan(new_id(), tuple(items), again)


def _judged(connection: Connection, ids: Sequence[int], again: bool) -> list[Item]:
    rows = failure_search.search(connection, Filter(ids=ids), limit=len(ids))
    known = records.fetch(connection, [(row.queue, row.event_id) for row in rows])
    by_id = {
        row.id: Item(row.id, row.queue, judge(row, known.get((row.queue, row.event_id)), again=again)) for row in rows
    }
    return [by_id[each] for each in ids if each in by_id]


async def execute(
    database: Database, plan: Plan, *, who: str, why: str, advance: Callable[[int], None] = lambda _: None
) -> Done:
    """Send what the plan froze and what is still as it was. Workers' relays publish it."""
    sent: list[int] = []
    verdicts: Counter[Verdict] = Counter()
    for chunk in _chunks(plan.ids):
        group = _Group(plan, chunk, who, why)
        items = await write(database, group.apply)
        sent += [item.failure_id for item in items if item.verdict in SENT]
        verdicts.update(item.verdict for item in items)
        advance(len(chunk))
    return Done(sent, verdicts)


class _Group(NamedTuple):
    """Some failures that are redriven in one transaction."""

    plan: Plan
    ids: Sequence[int]
    who: str
    why: str

    def apply(self, connection: Connection) -> list[Item]:
        now = time.time()
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        details = failures.get_many(connection, self.ids)
        known = records.fetch(connection, [(detail.row.queue, detail.row.event_id) for detail in details], lock=True)
        items: list[Item] = []
        rows: list[Outgoing] = []
        changed: dict[int, Record] = {}
        for detail in details:
            key = (detail.row.queue, detail.row.event_id)
            verdict = judge(detail.row, known.get(key), again=self.plan.again)
            items.append(Item(detail.row.id, detail.row.queue, verdict))
            if verdict in SENT:
                known[key] = changed[detail.row.id] = revived(detail.row, known.get(key), now)
                rows.append(_outgoing(detail, known[key], now))
        records.put(connection, list(changed.values()))
        outbox.add(connection, None, rows)
        for run in {record.run for record in changed.values()}:
            same = [failure_id for failure_id, record in changed.items() if record.run == run]
            failures.set_status(connection, same, Status.REDRIVEN, now=now, redriven_run=run)
        audit.append(connection, self._entry(items, now))
        return items

    def _entry(self, items: Sequence[Item], now: float) -> audit.Entry:
        counts = Counter(item.verdict for item in items)
        return audit.Entry(
            at=now,
            who=self.who,
            action="redrive",
            why=self.why,
            what={"operation": self.plan.operation, "failures": list(self.ids), "again": self.plan.again},
            outcome={verdict.value: number for verdict, number in counts.items()},
        )


def _outgoing(detail: FailureDetail, record: Record, now: float) -> Outgoing:
    """The message as it was, body byte for byte, to its own queue under the new run."""
    row, original = detail.row, detail.original
    kept = names.clean(original.headers, ours=True)
    ours: dict[str, HeaderValue] = {
        names.RUN: record.run,
        names.EXCHANGE: row.exchange,
        names.ROUTING_KEY: row.routing_key,
    }
    if row.body_hash == key_hash(row.event_id):  # its record goes by an idempotency key, not by its event id
        ours[names.KEY] = row.event_id
        own_id = original.message_id
    else:
        own_id = row.event_id
    message = replace(original, headers={**kept, **ours}, message_id=own_id)
    return Outgoing(new_id(), Kind.REDRIVE, "", row.queue, message, True, None, now)


async def verify(
    database: Database, ids: Sequence[int], *, seconds: float, advance: Callable[[int], None] = lambda _: None
) -> Counter[Outcome]:
    """What became of redriven failures; waits for at most `seconds` until none is pending."""
    deadline = time.monotonic() + seconds
    pending = list(ids)
    found: Counter[Outcome] = Counter()
    while True:
        still: list[int] = []
        for chunk in _chunks(pending):
            rows = await database.read(
                lambda connection, chunk=chunk: failure_search.search(connection, Filter(ids=chunk), limit=len(chunk))  # type: ignore[misc]
            )
            for row in rows:
                if row.outcome in (None, Outcome.PENDING):
                    still.append(row.id)
                else:
                    found[row.outcome] += 1
        advance(len(pending) - len(still))
        pending = still
        if not pending or time.monotonic() >= deadline:
            break
        await asyncio.sleep(min(LOOK_INTERVAL, max(deadline - time.monotonic(), 0)))
    if pending:
        found[Outcome.PENDING] = len(pending)
    return found


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), GROUP):
        yield ids[start : start + GROUP]
