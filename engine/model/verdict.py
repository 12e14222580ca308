"""What a redrive may do with one failure, decided from its record alone.

A failure is a message that died under one run of its record. It can be sent again only
while the record still says so: dead, with that run and that body. Whoever sent it again
before raised the run, so two operators who redrive the same message cannot double it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from engine.model.failure import Status
from engine.model.record import Record, State, redrive


class Verdict(StrEnum):
    """Whether a failure is sent again, and why not."""

    READY = "ready"
    #: As ready, but its record was pruned: nobody remembers whether it succeeded meanwhile.
    FORGOTTEN = "forgotten"
    SUCCEEDED = "succeeded"
    #: It was sent again before and is on its way, or failed again and has a newer failure.
    SUPERSEDED = "superseded"
    ARCHIVED = "archived"
    #: Another body under an id that is taken; the record belongs to the other message.
    CONFLICT = "conflict"
    #: Its queue is not on the broker.
    NO_QUEUE = "no_queue"
    #: There is no failure of this id.
    UNKNOWN = "unknown"
    #: What is stored of it cannot be read.
    BROKEN = "broken"


#: Verdicts under which a message is sent.
SENT = frozenset({Verdict.READY, Verdict.FORGOTTEN})

#: How each verdict reads in a plan.
MEANING: dict[Verdict, str] = {
    Verdict.READY: "will be sent to their queues again",
    Verdict.FORGOTTEN: "will be sent, though nobody remembers them any more: one that succeeded since would run twice",
    Verdict.SUCCEEDED: "succeeded meanwhile and are left alone (--again runs them once more)",
    Verdict.SUPERSEDED: "were sent again before and are left alone",
    Verdict.ARCHIVED: "are archived and are left alone",
    Verdict.CONFLICT: "carry the id of another message and cannot run under it",
    Verdict.NO_QUEUE: "belong to a queue that is not on the broker",
    Verdict.UNKNOWN: "are not there",
    Verdict.BROKEN: "cannot be read from the database",
}


class Candidate(Protocol):
    """What of a failure decides about its redrive."""

    @property
    def queue(self) -> str: ...
    @property
    def event_id(self) -> str: ...
    @property
    def run(self) -> int: ...
    @property
    def body_hash(self) -> bytes: ...
    @property
    def status(self) -> Status: ...


def judge(failure: Candidate, record: Record | None, *, again: bool = False) -> Verdict:
    """The verdict on a failure, given its record. `again` runs what succeeded once more."""
    if failure.status is Status.ARCHIVED:
        return Verdict.ARCHIVED
    if record is None:
        return Verdict.SUPERSEDED if failure.status is Status.REDRIVEN else Verdict.FORGOTTEN
    if record.body_hash != failure.body_hash:
        # It may have been sent again with an edited body, which the record now has.
        return Verdict.SUPERSEDED if failure.status is Status.REDRIVEN else Verdict.CONFLICT
    if record.state is State.DONE:
        return Verdict.READY if again else Verdict.SUCCEEDED
    if record.state is State.DEAD and record.run <= failure.run and failure.status is Status.OPEN:
        return Verdict.READY
    return Verdict.SUPERSEDED


def revived(failure: Candidate, record: Record | None, now: float, body_hash: bytes | None = None) -> Record:
    """The record under which the message is sent again: waiting, with a run above all before.

    `body_hash` is that of an edited body, None where the body is as it was.
    """
    if record is None:
        record = Record(
            failure.queue, failure.event_id, State.DEAD, failure.run, 0, 0, "", failure.body_hash, 0, False, now, now
        )
    # Created anew, too: a retry policy that limits the time since then would give up at once.
    return redrive(record._replace(run=max(record.run, failure.run), created=now), now, body_hash)
