"""From a delivery to a job: decoded, identified, ready to be claimed. Nothing here raises."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from engine.errors import DecodingError
from engine.model import headers as names
from engine.model.codec import Envelope, Limits, decode
from engine.model.event import Event
from engine.model.message import Delivery, Headers, Message
from engine.model.names import flaw
from engine.model.record import Claim
from engine.runtime.ids import new_id
from engine.runtime.job import Job
from engine.runtime.keys import Identity, key_hash

if TYPE_CHECKING:
    from engine.runtime.consumer import Consumer

#: How the body of an event begins that `engine.model.codec.encode` wrote; its third field is the time.
_OUR_FORM = b'{"eventType":"'
_TIMESTAMP = b'"timestamp":"'

#: A run number is never larger than this, whatever a header says.
MOST_RUNS = 1_000_000


def body_hash(body: bytes) -> bytes:
    """What tells two bodies under one id apart: 16 bytes of BLAKE2b.

    Of an event in the form that we write ourselves the time is left out: to publish the same event
    once more, after a confirm that was lost, is a duplicate and no conflict.
    """
    if body.startswith(_OUR_FORM):
        begin = body.find(_TIMESTAMP)
        if begin > 0:
            end = body.find(b'"', begin + len(_TIMESTAMP))
            whole = memoryview(body)  # not to be copied: it may be large
            digest = blake2b(whole[:begin], digest_size=16)
            digest.update(whole[end:])
            return digest.digest()
    return blake2b(body, digest_size=16).digest()


def routed_by(message: Message, routing_key: str) -> str:
    """The routing key the message was first published with: a retry comes under its queue's name."""
    if names.RUN in message.headers:
        first = message.headers.get(names.ROUTING_KEY)
        if isinstance(first, str):
            return first
    return routing_key


def take_in(consumer: Consumer, delivery: Delivery, limits: Limits) -> Job:
    """The job of a delivery. What cannot be read is a job with a defect: it will be dead-lettered.

    A message without an id gets a new one: it is handled at least once, and its retries carry that id on.
    """
    message = delivery.message
    digest = body_hash(message.body)
    envelope, defect = read_envelope(delivery, limits)
    event_id = readable_id(message, digest) if envelope is None else envelope.id or new_id()
    run = names.read_int(message.headers, names.RUN, 0, 0, MOST_RUNS) if message.headers else 0
    job = Job(consumer, delivery, Claim(consumer.queue, event_id, run, digest), envelope, defect)
    if run or consumer.identity is not None:
        _by_key(job)
    return job


def read_envelope(delivery: Delivery, limits: Limits) -> tuple[Envelope | None, DecodingError | None]:
    """What a delivery says, or why it cannot be read."""
    try:
        if delivery.defect is not None:
            raise DecodingError(delivery.defect)
        return decode(delivery.message, routed_by(delivery.message, delivery.routing_key), limits), None
    except DecodingError as error:
        # Its traceback would hold the frames below and above, with the body and the text made of it.
        return None, DecodingError(error.message, hint=error.hint)


def _by_key(job: Job) -> None:
    """Have the job's record go by the idempotency key.

    A copy that was sent again names the key of its record, whatever the handler says of it now.
    """
    claim, identity = job.claim, job.consumer.identity
    key = carried_key(job.message.headers)
    if key is None and not claim.run and identity is not None and job.envelope is not None:
        job.event, key, job.defect = _identified(identity, job.envelope, claim.event_id)
    if key is not None:
        job.own_id = claim.event_id
        job.claim = claim._replace(event_id=key, body_hash=key_hash(key))


def _identified(
    identity: Identity, envelope: Envelope, event_id: str
) -> tuple[Event[Any] | None, str | None, DecodingError | None]:
    try:
        return *identity(envelope, event_id), None
    except DecodingError as error:  # whole: what the user's function raised is behind it
        return None, None, error


def carried_key(headers: Headers) -> str | None:
    """The idempotency key that a copy carries; only one that was sent again can have any."""
    if names.RUN not in headers:
        return None
    key = headers.get(names.KEY)
    return key if type(key) is str and not flaw(key) else None


def readable_id(message: Message, digest: bytes) -> str:
    """An id for a message that cannot be read: its own where that is clean, else one made of that and its body."""
    own = message.message_id
    if not own:
        return f"unreadable-{digest.hex()}"
    raw = own.encode("utf-8", "surrogatepass")
    if own.isprintable() and len(raw) <= 255:
        return own
    return f"unreadable-{blake2b(raw, key=digest, digest_size=16).hexdigest()}"
