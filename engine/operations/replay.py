"""Replay: recorded events go to one named handler once more, and to nobody else.

    filter + handler ─▶ plan (frozen positions, verdicts) ─▶ start (a recorded operation) ─▶ workers perform it

A plan changes nothing. What is sent is judged once more when it is sent (see engine/runtime/replaying.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.brokers.base import Broker
from engine.errors import UsageError
from engine.model.handler import HandlerSpec
from engine.model.names import nearest
from engine.model.operation import Operation, Options, default_options
from engine.model.replay import MEANING, SENT, Verdict, judge
from engine.operations.operator import Operator
from engine.operations.orders import Order, new_operation_id, order
from engine.runtime import clock
from engine.runtime.intake import body_hash
from engine.runtime.stream_replaying import wants
from engine.storage import event_search, records, replaying, workers
from engine.storage.database import Database
from engine.storage.event_search import EventFilter
from engine.storage.workers import JOURNAL

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["MEANING", "SENT", "Item", "Plan", "Target", "Verdict", "find_target", "plan", "start", "targets"]

#: Events that are judged in one read.
GROUP = 1000


class Target(NamedTuple):
    """A handler that events can be replayed to: its queue, and what it asks for."""

    queue: str
    handler: str
    patterns: tuple[str, ...]

    def wants(self, routing_key: str) -> bool:
        """Whether such events come to it; one without patterns takes what it is sent."""
        return wants(self.patterns, routing_key)


class Item(NamedTuple):
    """An event in a plan."""

    position: int
    event_type: str
    verdict: Verdict


class Plan(NamedTuple):
    """What a replay would do: the events, frozen by their positions. `operation` is the id it would have."""

    operation: str
    target: Target
    items: tuple[Item, ...]
    wanted: EventFilter

    @property
    def positions(self) -> list[int]:
        """The events that would be sent, in the order of the log."""
        return [item.position for item in self.items if item.verdict in SENT]

    @property
    def to_send(self) -> int:
        """How many events would be sent."""
        return len(self.positions)

    @property
    def matched(self) -> int:
        """How many events the filter means."""
        return len(self.items)

    def verdicts(self) -> Counter[Verdict]:
        """How many there are of each verdict."""
        return Counter(item.verdict for item in self.items)

    def types(self) -> Counter[str]:
        """How many events of each type would be sent."""
        return Counter(item.event_type for item in self.items if item.verdict in SENT)

    def asked(self) -> dict[str, Any]:
        """What the operation has to know of it, as JSON has it."""
        return {
            "handler": self.target.handler,
            "filter": filter_dict(self.wanted),
            "matched": len(self.items),
            "verdicts": {str(verdict): count for verdict, count in self.verdicts().items()},
            "types": dict(self.types()),
            "queues": {self.target.queue: len(self.positions)},
        }


async def targets(database: Database, app: str, specs: Sequence[HandlerSpec] = ()) -> list[Target]:
    """The handlers of an application that can be named: those that workers declared, and these; by queue."""
    declared = await database.read(lambda connection: workers.list_queues(connection, app=app))
    found = {
        each.queue: Target(each.queue, each.handler, each.patterns) for each in declared if each.handler != JOURNAL
    }
    found |= {spec.queue_for(app): Target(spec.queue_for(app), spec.name, tuple(spec.patterns)) for spec in specs}
    return [found[queue] for queue in sorted(found)]


async def find_target(database: Database, app: str, name: str, specs: Sequence[HandlerSpec] = ()) -> Target:
    """The handler of this name, or that owns this queue. Raises `UsageError` where there is none, or several."""
    known = await targets(database, app, specs)
    found = [target for target in known if name == target.queue] or [one for one in known if name == one.handler]
    if len(found) == 1:
        return found[0]
    if found:
        queues = " or ".join(target.queue for target in found)
        raise UsageError(f"several handlers are called {name}", hint=f"Name the queue: {queues}.")
    names = [word for target in known for word in (target.handler, target.queue)]
    hint = nearest(name, names) or f"There are: {', '.join(target.handler for target in known[:8])}."
    raise UsageError(f"there is no handler {name}", hint=hint if known else "Start a worker, it declares the handlers.")


async def plan(database: Database, broker: Broker | None, wanted: EventFilter, target: Target) -> Plan:
    """What a replay of these events to this handler would do. Without a broker it is not known whether its queue is there.

    Events that are delayed and not out yet, and those that were cancelled, are not among them.
    """
    out = replace(wanted, out_by=clock.now())
    positions = await database.read(lambda connection: event_search.positions(connection, out))
    items: list[Item] = []
    for chunk in _chunks(positions):
        items += await database.read(partial(_judged, chunk, target))
    if broker is not None and (await broker.depths([target.queue]))[target.queue] is None:
        items = [each._replace(verdict=Verdict.NO_QUEUE) if each.verdict in SENT else each for each in items]
    return Plan(new_operation_id("replay"), target, tuple(items), wanted)


async def start(
    database: Database, made: Plan, *, app: str, operator: Operator, why: str, options: Options | None = None
) -> Operation:
    """Record the replay of what the plan froze; workers perform it. `options` None means what is sensible.

    Raises `ReadOnly`, `UsageError` when there is nothing to send or the plan was started before, and
    `DatabaseUnavailable`.
    """
    operator.allow("replay messages")
    positions = made.positions
    wanted = Order(
        id=made.operation,
        app=app,
        kind="replay",
        asked=made.asked(),
        target=made.target.queue,
        subjects=positions,
        options=default_options(len(positions)) if options is None else options,
    )
    return await order(database, wanted, operator=operator, why=why)


def _judged(positions: Sequence[int], target: Target, connection: Connection) -> list[Item]:
    found = replaying.candidates(connection, positions)
    known = records.fetch(connection, [(target.queue, each.event_id) for each in found])
    # Only where a record may contradict it does the body matter.
    there = [each.position for each in found if (target.queue, each.event_id) in known]
    bodies = replaying.bodies(connection, there) if there else {}
    items: list[Item] = []
    for each in found:
        body = bodies.get(each.position)
        record = known.get((target.queue, each.event_id))
        verdict = judge(record, None if body is None else body_hash(body))
        items.append(
            Item(each.position, each.event_type, verdict if target.wants(each.routing_key) else Verdict.UNWANTED)
        )
    return items


def filter_dict(wanted: EventFilter) -> dict[str, Any]:
    """What the filter says; positions are kept with the operation's items."""
    said = {each.name: getattr(wanted, each.name) for each in fields(wanted)}
    if wanted.positions is not None:
        said["positions"] = f"{len(wanted.positions):,} chosen"
    return {
        name: list(value) if isinstance(value, list | tuple) else value if isinstance(value, float) else str(value)
        for name, value in said.items()
        if value not in (None, ())
    }


def _chunks(positions: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(positions), GROUP):
        yield positions[start : start + GROUP]
