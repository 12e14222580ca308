"""Moving the messages of one queue into another: taken, published with a confirm, then acked.

So a message is in one of the two at every moment, and in both when it is interrupted in between: then
moving goes on by being done again, and the second copy is known by its id.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from engine.brokers.base import Broker
from engine.errors import BrokerError, BrokerUnavailable, DecodingError, PublishRefused, UsageError
from engine.model import headers as names
from engine.model.codec import Envelope, decode
from engine.model.message import Delivery, Headers, Message, Publication
from engine.model.partition import partitioned, unwrap
from engine.model.record import Claim, Holder, Record, Skip, State, decide
from engine.model.topology import STREAM_SUFFIX
from engine.operations.operator import Operator
from engine.operations.writing import write
from engine.runtime.intake import MOST_RUNS, body_hash, carried_key, readable_id, routed_by
from engine.runtime.keys import key_hash
from engine.storage import audit, records
from engine.storage.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Messages that are published together.
GROUP = 200
#: Seconds without a message after which a queue counts as empty, if the broker says so too.
QUIET = 0.5
#: Seconds without a message after which it is given up though the broker says there are more.
PATIENCE = 15.0
#: Rounds over a queue that goes on being filled.
ROUNDS = 5


class Moved(NamedTuple):
    """How many messages were moved, how many needed no moving, and how many cannot be read and stay."""

    moved: int = 0
    skipped: int = 0
    left: int = 0


#: Says for a group what to publish in the other queue; None where a message is not needed any more.
Choose = Callable[[Sequence[Delivery]], Awaitable[Sequence[Message | None]]]
#: Called when a group is confirmed, before it is acked.
Confirmed = Callable[[], Awaitable[None]]


async def keep_all(deliveries: Sequence[Delivery]) -> list[Message | None]:
    """As they are: for the same queue under another name."""
    return [as_it_was(delivery) for delivery in deliveries]


def as_it_was(delivery: Delivery) -> Message:
    """Body and headers of ours and others. What the routing key told of its type is put into the message."""
    message = delivery.message
    if message.type is None and (envelope := _read(delivery)) is not None:
        message = replace(message, type=envelope.type)
    return replace(message, headers={**names.clean(message.headers), **_deaths(message)})


def _deaths(message: Message) -> Headers:
    """What the broker wrote of a dead letter, which the intake reads."""
    return {name: value for name, value in message.headers.items() if name in ("x-death", "x-first-death-reason")}


async def pump(
    broker: Broker,
    source: str,
    target: str,
    choose: Choose,
    *,
    most: int,
    confirmed: Confirmed | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Moved:
    """Move up to `most` messages, or until the queue is empty.

    Raises `PublishRefused` when the target takes no more, and `BrokerUnavailable`; what is
    not confirmed then is still in the source.
    """
    waiting: asyncio.Queue[Delivery] = asyncio.Queue()
    subscription = await broker.consume(source, prefetch=2 * GROUP, receive=waiting.put_nowait)
    moved, begun = Moved(), time.monotonic()
    try:
        while sum(moved) < most:
            group = await _group(waiting, min(GROUP, most - sum(moved)))
            if not group:
                depth = (await broker.depths([source]))[source]
                if depth is None or not depth.ready:
                    break
                if time.monotonic() - begun > PATIENCE:
                    raise BrokerUnavailable(f"{source} holds {depth.ready:,} messages and delivers none.")
                continue
            begun = time.monotonic()
            whole = [delivery for delivery in group if delivery.defect is None]  # the others stay out until the end
            messages = await choose(whole)
            wanted = [Publication("", target, message) for message in messages if message is not None]
            answers = iter(await broker.publish(wanted) if wanted else [])
            refusals = [None if message is None else next(answers) for message in messages]
            if confirmed is not None:
                await confirmed()
            done = [delivery for delivery, refusal in zip(whole, refusals, strict=True) if refusal is None]
            await subscription.ack(done)
            advance(len(done))
            if refused := next((refusal for refusal in refusals if refusal is not None), None):
                raise _refused(target, refused)
            moved = Moved(
                moved.moved + len(wanted),
                moved.skipped + len(whole) - len(wanted),
                moved.left + len(group) - len(whole),
            )
    finally:
        await subscription.close()
    return moved


async def _group(waiting: asyncio.Queue[Delivery], size: int) -> list[Delivery]:
    try:
        async with asyncio.timeout(QUIET):
            group = [await waiting.get()]
    except TimeoutError:
        return []
    while len(group) < size and not waiting.empty():
        group.append(waiting.get_nowait())
    return group


def _refused(target: str, error: BrokerError) -> BrokerError:
    if isinstance(error, PublishRefused):
        return PublishRefused(
            f"{target} does not take them: {error.message}", hint="What was not moved is still where it was."
        )
    return error


class Plan(NamedTuple):
    """What a move would do: how many messages wait in the source."""

    source: str
    target: str
    waiting: int


async def plan(broker: Broker, source: str, target: str) -> Plan:
    """Check that it can be done. Raises `UsageError`."""
    if source == target:
        raise UsageError("the two queues are one", hint="Name the queue to empty, then the queue to fill.")
    if source.endswith(".dlq") is not target.endswith(".dlq"):
        raise UsageError(
            "dead letters cannot be moved among messages", hint="`warren redrive` sends failed messages back."
        )
    for name in (source, target):
        if name.endswith(STREAM_SUFFIX):
            raise UsageError(
                f"{name} is a stream: nothing is taken from it", hint="`warren replay --from-stream` sends its events."
            )
    depths = await broker.depths([source, target])
    for name, depth in depths.items():
        if depth is None:
            raise UsageError(f"there is no queue {name} on the broker", hint="`warren queues` lists those there are.")
    depth = depths[source]
    assert depth is not None
    if depth.consumers:
        raise UsageError(
            f"{source} has {depth.consumers} consumers, which would take its messages first",
            hint=f"Stop its workers, or pause it: `warren queues pause {source}`.",
        )
    return Plan(source, target, depth.ready)


async def move(
    database: Database,
    broker: Broker,
    planned: Plan,
    *,
    operator: Operator,
    why: str,
    advance: Callable[[int], None] = lambda _: None,
) -> Moved:
    """Move what waits. What the source's own records know to be handled, or to have a successor, is not moved.

    In the target each begins anew: no run, no attempts. But from a partition back to its own queue all is moved as it is. Its record in the source is forgotten, so
    that it can be moved back. Safe to interrupt, and to do again. Raises `ReadOnly`.
    """
    operator.allow("move messages")
    source, target = planned.source, planned.target
    keys = _Keys(database, partitioned(source))  # what is in a partition has its record under the handler's queue
    # Back from a partition to be routed anew it is the same message, with its run.
    same = source.endswith(".dlq") or partitioned(source) == target
    choose: Choose = keep_all if same else keys.choose
    total = Moved()
    outcome = "interrupted"
    try:
        for _ in range(ROUNDS):
            depth = (await broker.depths([source]))[source]
            if depth is None or depth.ready <= total.left:
                break
            done = await pump(
                broker,
                source,
                target,
                choose,
                most=depth.ready,
                confirmed=None if same else keys.forget,
                advance=advance,
            )
            total = Moved(total.moved + done.moved, total.skipped + done.skipped, done.left)
        outcome = "done"
    finally:
        entry = audit.Entry(
            time.time(),
            operator.who,
            "move",
            why,
            {"from": source, "to": target},
            {"state": outcome, **total._asdict()},
        )
        await write(database, partial(audit.append, entry=entry))
    return total


class _Keys:
    """Decides by the records of the source, which belong to the queue: its key is (queue, event id)."""

    def __init__(self, database: Database, source: str) -> None:
        self._database = database
        self._source = source
        self._stale: list[Record] = []

    async def choose(self, deliveries: Sequence[Delivery]) -> list[Message | None]:
        """What of a group is still to be handled, as a stranger's first copy."""
        known = [(delivery, _read(delivery)) for delivery in deliveries]
        claims = [_claim(self._source, delivery, envelope) for delivery, envelope in known]
        found = await self._database.read(
            lambda connection: records.fetch(connection, [(claim.queue, claim.event_id) for claim in claims])
        )
        chosen: list[Message | None] = []
        for (delivery, envelope), claim in zip(known, claims, strict=True):
            record = found.get((claim.queue, claim.event_id))
            # Nobody consumes the queue, so whoever is said to run it does not any more.
            if isinstance(decide(record, claim, "", Holder.DEAD, 0.0), Skip):
                chosen.append(None)
                continue
            if record is not None and record.body_hash == claim.body_hash:
                self._stale.append(record)
            chosen.append(_anew(delivery.message, envelope))
        return chosen

    async def forget(self) -> None:
        """They are in the target: their records here end, before they are acked here."""
        stale, self._stale = self._stale, []
        if stale:
            await write(self._database, partial(_forget, stale=stale))


def _forget(connection: Connection, stale: Sequence[Record]) -> None:
    records.forget(connection, [record for record in stale if record.state is not State.DONE])


def _read(delivery: Delivery) -> Envelope | None:
    delivery = unwrap(delivery)
    try:
        return decode(delivery.message, routed_by(delivery.message, delivery.routing_key))
    except DecodingError:
        return None


def _claim(queue: str, delivery: Delivery, envelope: Envelope | None) -> Claim:
    """As the worker's intake makes it."""
    message = delivery.message
    run = names.read_int(message.headers, names.RUN, 0, 0, MOST_RUNS)
    key = carried_key(message.headers)
    if key is not None:
        return Claim(queue, key, run, key_hash(key))
    digest = body_hash(message.body)
    own = None if envelope is None else envelope.id
    return Claim(queue, own or readable_id(message, digest), run, digest)


def _anew(message: Message, envelope: Envelope | None) -> Message:
    headers = names.clean(message.headers, ours=True)
    if envelope is None:
        return replace(message, headers=headers)
    return replace(
        message, headers=headers, type=message.type or envelope.type, message_id=message.message_id or envelope.id
    )
