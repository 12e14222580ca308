"""Checks of the broker."""

from __future__ import annotations

import time
from collections.abc import Sequence

from engine.brokers.base import Broker
from engine.errors import BrokerError, QueueMissing, WarrenError
from engine.model.handler import HandlerSpec
from engine.model.message import Message, Publication
from engine.model.topology import Binding, Queue, Topology, stream_name
from engine.operations.doctor.finding import Finding, fail, ok, warn
from engine.operations.durations import format_duration
from engine.operations.operator import Operator
from engine.operations.topology import advice, wanted
from engine.runtime.ids import new_id
from engine.settings import Kept

#: Differences that are named one by one.
NAMED = 5


async def check_round_trip(broker: Broker, app: str, *, operator: Operator, exchanges: Sequence[str] = ()) -> Finding:
    """Declare a queue of a private name, publish to it, take the message off, delete it: each permission is used once.

    So is each on these exchanges, as far as they are there: the queue is bound under a key that nobody
    uses, and a message is published that the broker refuses in any case. Raises `ReadOnly`.
    """
    operator.allow("try the permissions")
    name = f"{app}.doctor.{new_id()}"
    begun = time.perf_counter()
    # One short-lived name each run: an argument keeps it from outliving us if we are killed in between.
    queue = Queue(name, {"x-queue-type": "quorum", "x-expires": 60_000})
    step = "declare a queue"
    try:
        await broker.declare(Topology(queues=(queue,)))
        try:
            step = "publish to it"
            for answer in await broker.publish([Publication("", name, Message(b"{}", message_id=name))]):
                if answer is not None:
                    raise answer
            step = "read it"
            found = await broker.get(name)
            for exchange in exchanges:
                step = f"read from the exchange {exchange}"
                if not await _may_bind(broker, exchange, name):
                    continue  # it is not there, which is told with the topology
                step = f"write to the exchange {exchange}"
                if (may_write := getattr(broker, "may_write", None)) is not None:
                    await may_write(exchange)
        finally:
            await broker.delete_queue(name)
    except BrokerError as error:
        hint = (
            error.hint or f"The user needs the permissions configure, write and read on {app}.* and on the exchanges."
        )
        return fail("broker", f"this user cannot {step}: {error.message}", hint)
    if found is None or found.message_id != name:
        return fail("broker", "a message that was confirmed did not come back", "Look into the broker's log.")
    took = format_duration(time.perf_counter() - begun)
    on = f", also on {len(exchanges)} exchanges" if exchanges else ""
    return ok("permissions", f"declare, publish, read and delete work{on} ({took})")


async def _may_bind(broker: Broker, exchange: str, queue: str) -> bool:
    """Bind the private queue under its own name, which ends with it; False where the exchange is missing."""
    try:
        await broker.declare(Topology(bindings=(Binding(exchange, queue, queue),)))
    except QueueMissing:
        return False
    return True


async def check_topology(
    broker: Broker,
    app: str,
    specs: Sequence[HandlerSpec],
    exchange: str,
    journal: Sequence[str] = (),
    stream: Kept | None = None,
) -> list[Finding]:
    """Where the broker differs from what the handlers ask for."""
    try:
        differences = await broker.differences(wanted(app, specs, exchange, journal, stream))
    except WarrenError as error:
        return [fail("topology", error.message, error.hint)]
    mismatched = [difference for difference in differences if difference.problem != "missing"]
    findings = [
        fail("topology", f"{each.kind} {each.name} differs: {each.detail}", advice(each)) for each in mismatched[:NAMED]
    ]
    if len(mismatched) > NAMED:
        findings.append(fail("topology", f"{len(mismatched) - NAMED} more differ", "See `warren topology diff`."))
    missing = len(differences) - len(mismatched)
    if missing:
        hint = "A worker declares them when it starts; so does `warren topology apply`."
        findings.append(warn("topology", f"{missing} exchanges, queues or bindings are not there yet", hint))
    return findings or [ok("topology", "the broker has all that the handlers ask for")]


async def check_stream(broker: Broker, app: str, journal: Sequence[str], kept: Kept | None) -> list[Finding]:
    """What the journal's stream holds, or that one is left over which no setting asks for."""
    name, wants = stream_name(app), bool(journal) and kept is not None
    try:
        span = await broker.span(name)
    except QueueMissing:
        return []  # where it is wanted that is told with the topology
    except WarrenError as error:
        return [fail("journal", error.message, error.hint)] if wants else []
    if wants:
        return [ok("journal", f"{name} has the offsets {span.first:,} to {span.next:,}")]
    hint = f'Events may still flow into it. Set journal_to = "stream" to keep it, or delete it: `warren topology delete {name}`.'
    return [warn("journal", f"{name} is there, but no setting asks for it", hint)]
