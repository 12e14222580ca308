"""What a replay may do with one event of the log at one queue, decided from its record there.

A replay runs an event again because an operator asked for just that, so what was handled before is no
reason to leave it alone. What is under way at this very moment is: it runs without our help.
"""

from __future__ import annotations

from enum import StrEnum

from engine.model.record import Record, State, redrive


class Verdict(StrEnum):
    """Whether an event is sent to the handler, and why not."""

    #: The handler has no record of it: it never came there, or so long ago that it was forgotten.
    NEW = "new"
    HANDLED = "handled"
    FAILED = "failed before"
    #: A retry or a redrive of it is on its way.
    WAITING = "waiting"
    RUNNING = "running"
    #: Another body under its id was there; the record belongs to the other message.
    CONFLICT = "conflict"
    #: The handler does not ask for such events.
    UNWANTED = "not subscribed"
    #: The handler's queue is not on the broker.
    NO_QUEUE = "no queue"
    #: It is not in the log any more.
    GONE = "gone"
    #: A stream has it more than once, or it was handled after the replay had begun.
    REPEATED = "repeated"


#: Verdicts under which an event is sent.
SENT = frozenset({Verdict.NEW, Verdict.HANDLED, Verdict.FAILED})

#: How each verdict reads in a plan.
MEANING: dict[Verdict, str] = {
    Verdict.NEW: "will be handled for the first time, as far as anybody remembers",
    Verdict.HANDLED: "were handled before and will be handled once more",
    Verdict.FAILED: "failed before and will be tried once more",
    Verdict.WAITING: "are on their way already, by a retry or a redrive, and are left alone",
    Verdict.RUNNING: "are being handled right now and are left alone",
    Verdict.CONFLICT: "carry the id of another message and cannot run under it",
    Verdict.UNWANTED: "are of types that the handler does not ask for",
    Verdict.NO_QUEUE: "cannot go to a queue that is not on the broker",
    Verdict.GONE: "are not in the log any more",
    Verdict.REPEATED: "are in the stream once more and are sent once",
}

_BY_STATE = {
    State.DONE: Verdict.HANDLED,
    State.DEAD: Verdict.FAILED,
    State.WAITING: Verdict.WAITING,
    State.RUNNING: Verdict.RUNNING,
}


def judge(record: Record | None, body_hash: bytes | None, since: float | None = None) -> Verdict:
    """The verdict on an event, given its record in the queue; without a record its body does not matter.

    `since` is when the replay began, where an event may come by more than once: what it has sent has a record
    that is no older than that.
    """
    if record is None:
        return Verdict.NEW
    verdict = _BY_STATE[record.state]
    if since is not None and verdict in SENT and record.created >= since:
        return Verdict.REPEATED
    return Verdict.CONFLICT if verdict in SENT and record.body_hash != body_hash else verdict


def replayed(record: Record | None, queue: str, event_id: str, body_hash: bytes, now: float) -> Record:
    """The record under which the event is sent: waiting, with a run above all before.

    Where there was none it begins above the run of a first copy, so that one which is still on its way
    is known for stale.
    """
    if record is None:
        record = Record(queue, event_id, State.DEAD, 1, 0, 0, "", body_hash, 0, False, now, now)
    # Created anew, too: a retry policy that limits the time since then would give up at once.
    return redrive(record._replace(created=now), now)
