"""Redrive: failed messages go back to their own queues, each once.

    filter ─▶ plan (frozen ids, verdicts) ─▶ start (a recorded operation) ─▶ workers perform it

A plan changes nothing. What is sent is judged once more when it is sent (see
engine/runtime/redriving.py), so a plan may be as old as it likes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.brokers.base import Broker
from engine.model.operation import Operation, Options, default_options
from engine.model.verdict import MEANING, SENT, Verdict, judge
from engine.operations.operator import Operator
from engine.operations.orders import Order, new_operation_id, order
from engine.storage import failure_search, records, redriving
from engine.storage.database import Database
from engine.storage.failure_search import Filter

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["MEANING", "SENT", "Item", "Plan", "Verdict", "plan", "start"]

#: Failures that are judged in one read.
GROUP = 1000


class Item(NamedTuple):
    """A failure in a plan."""

    failure_id: int
    queue: str
    verdict: Verdict


class Plan(NamedTuple):
    """What a redrive would do: the failures, frozen by their ids. `operation` is the id it would have."""

    operation: str
    items: tuple[Item, ...]
    again: bool
    wanted: Filter

    @property
    def ids(self) -> list[int]:
        """The failures that would be sent, oldest first."""
        return [item.failure_id for item in self.items if item.verdict in SENT]

    def verdicts(self) -> Counter[Verdict]:
        """How many there are of each verdict."""
        return Counter(item.verdict for item in self.items)

    def queues(self) -> Counter[str]:
        """How many messages each queue would get."""
        return Counter(item.queue for item in self.items if item.verdict in SENT)

    def asked(self) -> dict[str, Any]:
        """What the operation has to know of it, as JSON has it."""
        return {
            "again": self.again,
            "filter": _filter_dict(self.wanted),
            "matched": len(self.items),
            "verdicts": {str(verdict): count for verdict, count in self.verdicts().items()},
            "queues": dict(self.queues()),
        }


async def plan(database: Database, broker: Broker | None, wanted: Filter, *, again: bool = False) -> Plan:
    """What a redrive of these failures would do. Without a broker it is not known whether the queues exist."""
    ids = await database.read(lambda connection: failure_search.select_ids(connection, wanted))
    items: list[Item] = []
    for chunk in _chunks(ids):
        items += await database.read(partial(_judged, chunk, again))
    there = {item.failure_id for item in items}
    items += [Item(missing, "", Verdict.UNKNOWN) for missing in wanted.ids or () if missing not in there]
    if broker is not None:
        depths = await broker.depths(sorted({item.queue for item in items if item.verdict in SENT}))
        items = [
            item._replace(verdict=Verdict.NO_QUEUE) if item.verdict in SENT and depths.get(item.queue) is None else item
            for item in items
        ]
    return Plan(new_operation_id("redrive"), tuple(items), again, wanted)


async def start(
    database: Database, made: Plan, *, app: str, operator: Operator, why: str, options: Options | None = None
) -> Operation:
    """Record the redrive of what the plan froze; workers perform it. `options` None means what is sensible.

    Raises `ReadOnly`, `UsageError` when there is nothing to send or the plan was started before, and
    `DatabaseUnavailable`.
    """
    operator.allow("redrive messages")
    ids = made.ids
    wanted = Order(
        id=made.operation,
        app=app,
        kind="redrive",
        asked=made.asked(),
        target="",
        subjects=ids,
        options=default_options(len(ids)) if options is None else options,
    )
    return await order(database, wanted, operator=operator, why=why)


def _judged(ids: Sequence[int], again: bool, connection: Connection) -> list[Item]:
    found = redriving.candidates(connection, ids)
    known = records.fetch(connection, [(failed.queue, failed.event_id) for failed in found.values()])
    return [
        Item(failed.id, failed.queue, judge(failed, known.get((failed.queue, failed.event_id)), again=again))
        for failed in (found[each] for each in ids if each in found)
    ]


def _filter_dict(wanted: Filter) -> dict[str, Any]:
    """What the filter says; of many ids only how many there are."""
    said = {each.name: getattr(wanted, each.name) for each in fields(wanted)}
    return {
        name: len(value) if name == "ids" and len(value) > GROUP else _plain(value)
        for name, value in said.items()
        if value is not None and value != ()
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, int | float | bool) else str(value)


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), GROUP):
        yield ids[start : start + GROUP]
