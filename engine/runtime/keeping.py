"""Keeping a strict order: what follows an event that failed waits behind it, from the outcome on that says so."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from engine.model.record import Bury, Decision, Hold, State
from engine.runtime.job import Job
from engine.runtime.resend import held_row
from engine.storage import held, outbox
from engine.storage.database import Database
from engine.storage.held import Pair, Waiting
from engine.storage.records import Fate

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from engine.runtime.outcomes import Outcome


logger = logging.getLogger("warren.order")


class InLine(NamedTuple):
    """By queue and event id: what waits if it would be run, and of what that cannot be told just now."""

    held: frozenset[Pair]
    unsure: frozenset[Pair]


NOBODY = InLine(frozenset(), frozenset())


def in_line(connection: Connection, jobs: Sequence[Job]) -> InLine:
    """In the transaction of their claims: which of these have to wait behind another of their key."""
    keyed = [job for job in jobs if job.line is not None]
    if not keyed:
        return NOBODY
    blocked = held.blocked(connection, [_line(job) for job in keyed])
    if not blocked.by and not blocked.unsure:
        return NOBODY
    return InLine(
        frozenset(job.key for job in keyed if blocked.by.get(_line(job), job.claim.event_id) != job.claim.event_id),
        frozenset(job.key for job in keyed if _line(job) in blocked.unsure),
    )


def keep_order(connection: Connection, jobs: Sequence[Job], decisions: Sequence[Decision], now: float) -> None:
    """In the transaction of their claims: put those in line that have to wait; what is given up holds up the rest."""
    waiting: list[Waiting] = []
    failed: list[tuple[str, str, str]] = []
    for job, decision in zip(jobs, decisions, strict=True):
        if job.line is None:
            continue
        if isinstance(decision, Hold):
            waiting.append(Waiting(*_line(job), job.claim.event_id, held_row(job, decision.record, now)))
        elif isinstance(decision, Bury):
            failed.append((*_line(job), job.claim.event_id))
    held.hold(connection, waiting, now)
    held.block(connection, failed, now)


def settle(connection: Connection, worker: str, outcomes: Sequence[Outcome], fates: Sequence[Fate], now: float) -> None:
    """In the transaction of these outcomes: what failed blocks its key, what is handled lets the next in line go.

    That one goes into the outbox, and is the job's to relay (`Job.released`).
    """
    failed: list[tuple[str, str, str]] = []
    handled: dict[Pair, Job] = {}
    for outcome, fate in zip(outcomes, fates, strict=True):
        job = outcome.job
        if job.line is None or fate is Fate.LOST or outcome.back:
            continue
        job.released = ()  # this may run again, after a rollback
        if outcome.record.state is State.DONE:
            handled[job.key] = job
        else:
            failed.append((*_line(job), job.claim.event_id))
    held.block(connection, failed, now)
    released = held.advance(connection, handled) if handled else []
    for key, row in released:
        handled[key].released = (*handled[key].released, row)
    outbox.add(connection, worker, [row for _, row in released])


async def let_go(database: Database, queues: Sequence[str]) -> None:
    """Send what waits in these queues, whose handlers want no strict order (any more)."""
    waiting = await database.read(held.counts)
    left = [queue for queue in queues if queue in waiting]
    if left:

        def work(connection: Connection) -> None:
            outbox.add(connection, None, held.release(connection, left))

        await database.write(work)
        logger.info("what waited in %s goes on: the handlers want no strict order any more", ", ".join(left))


def _line(job: Job) -> Pair:
    assert job.line is not None
    return job.claim.queue, job.line
