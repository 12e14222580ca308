"""The rows that send a message again: to a delay rung, to the dead-letter queue, or aside for a while."""

from __future__ import annotations

from dataclasses import replace

from engine.model import headers as names
from engine.model.deadletter import DeadLetter
from engine.model.message import HeaderValue, Message
from engine.model.outgoing import Kind, Outgoing
from engine.model.record import Record
from engine.model.topology import dlx_name
from engine.runtime.ids import new_id
from engine.runtime.job import Job

#: Seconds after which a copy is looked at again while another worker has the message in hand.
PARK_DELAY = 1.0


def retry_row(job: Job, record: Record, delay: float, now: float) -> Outgoing:
    """The next attempt: back to its own queue after `delay` seconds, under the record's run."""
    ours: dict[str, HeaderValue] = {names.RUN: record.run, names.FIRST_FAILED: _first_failed(job, now)}
    return _row(Kind.RETRY, "", record.queue, _copy(job, ours), now, due=now + delay)


def park_row(job: Job, now: float) -> Outgoing:
    """A copy of a message that another worker has in hand: under the run it came with."""
    ours: dict[str, HeaderValue] = {names.RUN: job.claim.run} if job.claim.run else {}
    return _row(Kind.PARK, "", job.claim.queue, _copy(job, ours), now, due=now + PARK_DELAY)


def held_row(job: Job, record: Record, now: float) -> Outgoing:
    """What is sent when the turn of a message comes in a strict order: back to its own queue, under the record's run."""
    return _row(Kind.RETRY, "", record.queue, _copy(job, {names.RUN: record.run}), now, due=None)


def dead_row(job: Job, letter: DeadLetter, app: str, now: float) -> Outgoing:
    """The message with what is known of its failure, to the dead-letter exchange."""
    return _row(Kind.DEAD, dlx_name(app), job.claim.queue, _copy(job, letter.to_headers()), now, due=None)


def origin(job: Job) -> tuple[str, str]:
    """The exchange and routing key that the message was first published with."""
    delivery = job.deliveries[0]
    if job.claim.run:
        exchange = job.message.headers.get(names.EXCHANGE)
        key = job.message.headers.get(names.ROUTING_KEY)
        if isinstance(exchange, str) and isinstance(key, str):
            return exchange, key
    return delivery.exchange, delivery.routing_key


def first_failed(job: Job, now: float) -> float:
    """When the message failed first, in seconds since the epoch: now, unless an earlier copy said so."""
    return _first_failed(job, now) / 1000


def _first_failed(job: Job, now: float) -> int:
    latest = int(now * 1000)
    if not job.claim.run:
        return latest
    return names.read_int(job.message.headers, names.FIRST_FAILED, latest, 0, latest)


def _copy(job: Job, ours: dict[str, HeaderValue]) -> Message:
    """The same body and foreign headers; id and type travel in the properties, where a body lacks them."""
    exchange, key = origin(job)
    envelope = job.envelope
    kept = names.clean(job.message.headers, ours=True)
    headers = {**kept, names.EXCHANGE: exchange, names.ROUTING_KEY: key, **ours}
    if (deadline := job.message.headers.get(names.DEADLINE)) is not None:
        headers[names.DEADLINE] = deadline
    if job.own_id is not None:
        headers[names.KEY] = job.claim.event_id
    return replace(
        job.message,
        headers=headers,
        message_id=job.event_id,
        type=job.message.type or (envelope.type if envelope is not None else None),
    )


def _row(kind: Kind, exchange: str, key: str, message: Message, now: float, due: float | None) -> Outgoing:
    return Outgoing(new_id(), kind, exchange, key, message, True, due, now)
