"""The idempotency record: what became of one event in one queue.

    (none) ──claim──▶ running ──finish──▶ done
                       │  ▲  └──bury────▶ dead ──redrive──┐
                     retry │                              │
                       ▼   │                              ▼
                      waiting ◀───────────────────────────┘

The record is the truth; headers never outrank it. Each transition that sends the
message again (retry, bury, redrive) raises the run, and the copy that is sent carries
that run. A copy of a lower run is stale: its successor is already on its way. So no
crash, wherever it falls, forks a message in two.

Every claim raises the token. What a worker did counts only while the record still
holds the token it claimed under (a fencing token, see Kleppmann, "How to do
distributed locking").

Times are seconds since the epoch, UTC. Nothing here reads a clock.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, TypeAlias

#: Deaths of a worker with this message as its sole suspect, until it is dead-lettered.
MAX_DEATHS = 3


class State(StrEnum):
    """Where a message stands in its queue."""

    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    DEAD = "dead"


class Record(NamedTuple):
    """One row of `warren_records`, keyed by queue and event id.

    `probation` says that the message runs as its worker's only suspect; `deaths` counts
    the workers that died in that state.
    """

    queue: str
    event_id: str
    state: State
    run: int
    attempts: int
    token: int
    worker: str
    body_hash: bytes
    deaths: int
    probation: bool
    created: float
    updated: float


class Claim(NamedTuple):
    """A delivery that asks to be run: whose it is, and the run its header names (0 without one)."""

    queue: str
    event_id: str
    run: int
    body_hash: bytes


class Holder(StrEnum):
    """What is known of the worker that a running record names."""

    ALIVE = "alive"
    DEAD = "dead"
    #: This worker, which has the message in hand.
    SELF = "self"
    #: This worker, which does not remember it: its claim was committed, its answer lost.
    FORGOTTEN = "forgotten"


class Run(NamedTuple):
    """Run the handler; write this record first. `suspect`: its last worker died with it."""

    record: Record
    suspect: bool = False


class Join(NamedTuple):
    """This worker has it in hand: hold the delivery, and ack it with the other."""


class Park(NamedTuple):
    """A living worker has it in hand: keep a copy with the broker, for a short while."""


class Skip(NamedTuple):
    """Ack it: `stale` has a successor, `duplicate` was handled or given up before."""

    reason: str


class Conflict(NamedTuple):
    """Another body under an id that is taken: dead-letter this copy, leave the record alone."""


class Bury(NamedTuple):
    """Write this record and dead-letter the message: it killed its workers."""

    record: Record


class Hold(NamedTuple):
    """What is before it in a strict order failed: write this record, and keep the message until its turn comes."""

    record: Record


Decision: TypeAlias = Run | Join | Park | Skip | Conflict | Bury | Hold

STALE = Skip("stale")
DUPLICATE = Skip("duplicate")


def decide(record: Record | None, claim: Claim, worker: str, holder: Holder, now: float) -> Decision:
    """What to do with a delivery, given its record. `holder` matters only while it is running."""
    if record is None:
        return Run(
            Record(
                claim.queue, claim.event_id, State.RUNNING, 1, 1, 1, worker, claim.body_hash, 0, False, now, now
            )  # a run that no record vouches for is not believed
        )
    if claim.run and claim.run < record.run:
        return STALE
    if record.body_hash != claim.body_hash:
        return Conflict()
    if not claim.run and record.run > 1 and record.state is not State.RUNNING:
        # A first copy (they carry no run) after a retry or a redrive was sent.
        return DUPLICATE if record.state in (State.DONE, State.DEAD) else STALE
    if record.state is State.WAITING:
        return Run(_claimed(record, worker, now, record.attempts + 1))
    if record.state is not State.RUNNING:
        return DUPLICATE
    if holder is Holder.SELF:
        return Join()
    if holder is Holder.ALIVE:
        return Park()
    if holder is Holder.FORGOTTEN:
        return Run(_claimed(record, worker, now, record.attempts))
    return _take_over(record, worker, now)


def _claimed(record: Record, worker: str, now: float, attempts: int) -> Record:
    return record._replace(
        state=State.RUNNING, attempts=attempts, token=record.token + 1, worker=worker, probation=False, updated=now
    )


def _take_over(record: Record, worker: str, now: float) -> Decision:
    """A worker died with this message in hand. Was it the cause? Only a sole suspect is guilty."""
    deaths = record.deaths + 1 if record.probation else record.deaths
    taken = _claimed(record, worker, now, record.attempts)._replace(deaths=deaths)
    if deaths >= MAX_DEATHS:
        return Bury(bury(taken, now))
    return Run(taken, suspect=True)


def on_probation(record: Record, now: float) -> Record:
    """The message now runs as its worker's only suspect."""
    return record._replace(probation=True, updated=now)


def finish(record: Record, now: float) -> Record:
    """The handler returned."""
    return record._replace(state=State.DONE, probation=False, updated=now)


def retry(record: Record, now: float) -> Record:
    """The attempt failed; the message is sent again under the next run."""
    return record._replace(state=State.WAITING, run=record.run + 1, probation=False, updated=now)


def unclaim(record: Record, now: float) -> Record:
    """The message goes back to its queue before its handler began: this was no attempt."""
    attempts = max(record.attempts - 1, 0)
    return record._replace(state=State.WAITING, attempts=attempts, probation=False, updated=now)


def hold(record: Record, now: float) -> Record:
    """A message that was claimed waits for its turn, and is sent again under the next run: this was no attempt."""
    return unclaim(record, now)._replace(run=record.run + 1)


def bury(record: Record, now: float) -> Record:
    """The message is given up: it is sent to the dead-letter queue under the next run."""
    return record._replace(state=State.DEAD, run=record.run + 1, probation=False, updated=now)


def redrive(record: Record, now: float, body_hash: bytes | None = None) -> Record:
    """An operator sends the message again, perhaps with another body: attempts start anew."""
    return record._replace(
        state=State.WAITING,
        run=record.run + 1,
        attempts=0,
        deaths=0,
        probation=False,
        body_hash=record.body_hash if body_hash is None else body_hash,
        updated=now,
    )


def entomb(record: Record | None, claim: Claim, worker: str, now: float) -> Record | None:
    """What a dead letter that the broker made (a delivery limit, a TTL, a foreign reject) does to its record.

    The record to write, with the run under which the message is now dead; None when this copy
    is of no consequence, because the message was handled, given up before, or has a successor.
    """
    if record is None:
        return Record(claim.queue, claim.event_id, State.DEAD, 1, 0, 1, worker, claim.body_hash, 0, False, now, now)
    if record.state in (State.DONE, State.DEAD) or max(claim.run, 1) < record.run:
        return None
    return bury(record, now)._replace(token=record.token + 1, worker=worker)
