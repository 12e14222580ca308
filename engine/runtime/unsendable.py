"""What no broker can carry, however often it is sent: it becomes a failure, and its row goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from engine.model import headers as names
from engine.model.deadletter import DeadLetter, fingerprint
from engine.model.outgoing import Kind, Outgoing
from engine.model.record import Claim, entomb
from engine.runtime.intake import MOST_RUNS, body_hash
from engine.storage import failures, outbox, records
from engine.storage.failures import Failure

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: What failures of this kind say for their reason.
REASON = "unpublishable"
#: The queue of a failure whose message was for whoever has subscribed.
NOBODYS_QUEUE = "(outbox)"


class Unsendable(NamedTuple):
    """A row of the outbox, and why the broker can never take it."""

    row: Outgoing
    reason: str


def give_up(connection: Connection, worker: str, hopeless: Sequence[Unsendable], now: float) -> None:
    """In one transaction: write the failures, end the records of their messages, strike the rows off.

    A dead letter was one already; it goes into the table past its queue, with all that it says.
    """
    ids = [row.id for row, _ in hopeless]
    stored = {row.id: row for row in outbox.read(connection, ids)}
    found: list[Failure] = []
    for given, reason in hopeless:
        row = stored.get(given.id)  # as it was before headers were taken off; None when this ran before
        if row is None:
            continue
        claim = _claim(row)
        run = max(claim.run, 1)
        letter = DeadLetter.from_headers(row.message.headers) if row.kind is Kind.DEAD else None
        if letter is None and claim.queue != NOBODYS_QUEUE:
            record = entomb(records.fetch(connection, [claim[:2]]).get(claim[:2]), claim, worker, now)
            if record is not None:
                records.put(connection, [record])
                run = record.run
        found.append(_failure(row, claim, run, letter or _letter(row, reason, now), worker, now))
    failures.add(connection, found)
    outbox.remove(connection, ids)


def failure_of(row: Outgoing, worker: str, now: float) -> Failure:
    """The failure that a dead letter of ours becomes without going through its queue."""
    claim = _claim(row)
    letter = DeadLetter.from_headers(row.message.headers)
    assert letter is not None
    return _failure(row, claim, max(claim.run, 1), letter, worker, now)


def _claim(row: Outgoing) -> Claim:
    headers = row.message.headers
    queue = row.routing_key if row.kind is Kind.DEAD or not row.exchange else NOBODYS_QUEUE
    key = names.read_str(headers, names.KEY) or row.message.message_id or row.id
    return Claim(queue, key, names.read_int(headers, names.RUN, 0, 0, MOST_RUNS), body_hash(row.message.body))


def _letter(row: Outgoing, reason: str, now: float) -> DeadLetter:
    made = DeadLetter.from_broker(row.routing_key, row.message.headers, now)
    return made._replace(
        reason=REASON,
        message=reason,
        exchange=names.read_str(row.message.headers, names.EXCHANGE, row.exchange),
        routing_key=names.read_str(row.message.headers, names.ROUTING_KEY, row.routing_key),
        fingerprint=fingerprint(REASON, row.routing_key, ""),
    )


def _failure(row: Outgoing, claim: Claim, run: int, letter: DeadLetter, worker: str, now: float) -> Failure:
    message = row.message
    return Failure(
        queue=claim.queue,
        event_id=claim.event_id,
        run=run,
        body_hash=claim.body_hash,
        event_type=message.type or "",
        handler=letter.handler,
        worker=letter.worker or worker,
        reason=letter.reason,
        exception=letter.exception,
        message=letter.message,
        traceback=letter.traceback,
        fingerprint=letter.fingerprint,
        attempts=letter.attempts,
        first_failed=letter.first_failed or now,
        last_failed=letter.last_failed or now,
        arrived=now,
        exchange=letter.exchange,
        routing_key=letter.routing_key,
        correlation_id=message.correlation_id or message.message_id,
        original=replace(message, headers=names.clean(message.headers, ours=True)),
    )
