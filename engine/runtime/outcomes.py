"""What became of the messages in hand: settled in groups, then relayed and acked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from engine.model.outgoing import Outgoing
from engine.model.record import Record, State
from engine.runtime import clock, keeping, points
from engine.runtime.job import Job
from engine.runtime.promises import promise, travels
from engine.storage import event_log, records
from engine.storage.records import Fate

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from engine.runtime.hand import Hand

logger = logging.getLogger("warren.outcomes")


class TakenOver(Exception):
    """Another worker has the message now; what was to be written with its outcome must not be."""


class Outcome(NamedTuple):
    """How one run of a handler ended: the record to write, what is to be sent with it, and what it raised.

    `back`: it was not run at all, and goes back to its queue.
    """

    job: Job
    record: Record
    rows: Sequence[Outgoing] = ()
    error: BaseException | None = None
    back: bool = False


def write(connection: Connection, worker: str, outcomes: Sequence[Outcome]) -> list[Fate]:
    """In this transaction: settle the records under their tokens, promise what they send, log what they emitted."""
    fates = records.settle(connection, [outcome.record for outcome in outcomes])
    if any(outcome.job.line is not None for outcome in outcomes):
        keeping.settle(connection, worker, outcomes, fates, clock.now())
    kept = [outcome for outcome, fate in zip(outcomes, fates, strict=True) if fate is not Fate.LOST and outcome.rows]
    if kept:
        promise(connection, worker, [row for outcome in kept for row in outcome.rows])
        _log(connection, kept)
    return fates


def _log(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """What the handlers emitted goes into the log of events, in the order in which they ended."""
    entries = [
        event_log.emitted(row, row.event, outcome.record.queue)
        for outcome in outcomes
        for row in outcome.rows
        if row.event is not None
    ]
    if entries:
        event_log.append(connection, entries, now=clock.now())


def _nobody() -> None: ...


class OutcomeSection:
    """The group of outcomes that gathered while the last group was written."""

    name = "outcomes"

    def __init__(self, worker: str, hand: Hand) -> None:
        self._worker = worker
        self._hand = hand
        #: Told of each outcome that is committed; it must neither raise nor wait.
        self.observer: Callable[[Outcome], None] | None = None
        #: Told when outcomes are committed that may have written to the log.
        self.grown: Callable[[], None] = _nobody

    def apply(self, connection: Connection, items: Sequence[Outcome]) -> Sequence[Fate]:
        return write(connection, self._worker, items)

    def done(self, items: Sequence[Outcome], results: Sequence[Fate]) -> None:
        points.reach("committed")
        for outcome, fate in zip(items, results, strict=True):
            self.settled(outcome, fate)

    def settled(self, outcome: Outcome, fate: Fate) -> None:
        """Let go of the message: relay what it sends, count it, ack it."""
        job = outcome.job
        stats = job.consumer.stats
        if fate is Fate.LOST:
            logger.warning("%s: %s was taken over by another worker meanwhile", *job.key)
        elif outcome.back:
            self._hand.put_back(job)
            return
        else:
            self._hand.relay.send(row for row in outcome.rows if travels(row))
            if job.released:
                self._hand.relay.send(job.released)
            if outcome.rows or job.consumer.invoke.wants_session:
                self.grown()
            if self.observer is not None:
                self.observer(outcome)
            if job.consumer.breaker is not None:
                job.consumer.breaker.settled(outcome)
            match outcome.record.state:
                case State.DONE:
                    stats.handled += 1
                case State.WAITING:
                    stats.failed += 1
                    stats.retried += 1
                case _:
                    stats.failed += 1
                    stats.dead += 1
        self._hand.release(job)

    def failed(self, item: Outcome, error: Exception) -> None:
        """An outcome that the database refuses, by itself: the message fails with that error instead."""
        if item.record.state is State.DONE:
            logger.error("%s: the outcome of %s cannot be written: %s", *item.job.key, error)
            item.job.consumer.fail(item.job, error)
        else:
            logger.error("%s: not even the failure of %s can be written: %s", *item.job.key, error)
            self._hand.give_back(item.job)
