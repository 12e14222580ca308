"""Claims in groups: which deliveries are run, joined, parked, skipped or dead-lettered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from engine.model.deadletter import DeadLetter
from engine.model.outgoing import Outgoing
from engine.model.record import MAX_DEATHS, STALE, Bury, Conflict, Decision, Hold, Holder, Join, Park, Record, Run, Skip
from engine.runtime import clock, points
from engine.runtime.job import Job
from engine.runtime.keeping import NOBODY, in_line, keep_order
from engine.runtime.promises import promise, travels
from engine.runtime.resend import dead_row, first_failed, origin, park_row
from engine.storage import records, redriving

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from engine.runtime.hand import Hand
    from engine.storage.writer import Inlet

logger = logging.getLogger("warren.claims")


class Claimed(NamedTuple):
    """What the database decided, and the row that was written with it."""

    decision: Decision
    row: Outgoing | None = None


class ClaimSection:
    """One transaction for all deliveries that wait."""

    name = "claims"

    def __init__(self, app: str, worker: str, hand: Hand, alive: Callable[[str], bool]) -> None:
        self._app = app
        self._worker = worker
        self._hand = hand
        self._alive = alive
        #: Whether any handler wants a strict order.
        self.strict = False
        self.inlet: Inlet[Job]
        self.suspects: Callable[[Job], None]

    def apply(self, connection: Connection, items: Sequence[Job]) -> Sequence[Claimed]:
        now = clock.now()
        lines = in_line(connection, items) if self.strict else NOBODY
        decisions = records.claim(
            connection,
            [job.claim for job in items],
            worker=self._worker,
            holder=self._holder,
            now=now,
            held=lines.held,
            unsure=lines.unsure,
        )
        if self.strict:
            keep_order(connection, items, decisions, now)
        if any(isinstance(decision, Conflict) for decision in decisions):
            decisions = _without_edited(connection, items, decisions)
        results: list[Claimed] = []
        rows: list[Outgoing] = []
        for job, decision in zip(items, decisions, strict=True):
            row = self._row(job, decision, now)
            if row is not None:
                rows.append(row)
            results.append(Claimed(decision, row))
        if rows:
            promise(connection, self._worker, rows)
        return results

    def _holder(self, record: Record) -> Holder:
        if record.worker == self._worker:
            return Holder.SELF if (record.queue, record.event_id) in self._hand.jobs else Holder.FORGOTTEN
        return Holder.ALIVE if self._alive(record.worker) else Holder.DEAD

    def _row(self, job: Job, decision: Decision, now: float) -> Outgoing | None:
        match decision:
            case Park():
                # In an order nothing steps aside: it is looked at again where it stands.
                return park_row(job, now) if job.consumer.ordered is None else None
            case Conflict():
                return dead_row(job, self._letter(job, "conflict", job.claim.run or 1, 1, now), self._app, now)
            case Bury(record):
                return dead_row(
                    job, self._letter(job, "killed its workers", record.run, record.attempts, now), self._app, now
                )
            case _:
                return None

    def _letter(self, job: Job, reason: str, run: int, attempts: int, now: float) -> DeadLetter:
        exchange, key = origin(job)
        message = {
            "conflict": "another message with this id and another body was here before",
            "killed its workers": f"{MAX_DEATHS} workers died while this was their only suspect",
        }[reason]
        return DeadLetter(
            reason=reason,
            exception="",
            message=message,
            traceback="",
            attempts=attempts,
            run=run,
            first_failed=first_failed(job, now),
            last_failed=now,
            queue=job.claim.queue,
            handler=job.consumer.name,
            worker=self._worker,
            exchange=exchange,
            routing_key=key,
            fingerprint=job.consumer.fingerprint(reason),
        )

    def done(self, items: Sequence[Job], results: Sequence[Claimed]) -> None:
        points.reach("claimed")
        for job, (decision, row) in zip(items, results, strict=True):
            stats = job.consumer.stats
            match decision:
                case Run(record, suspect):
                    job.record = record
                    self._hand.hold(job)
                    if suspect:
                        self.suspects(job)
                    else:
                        job.consumer.ready(job)
                    continue
                case Join() | Park() if job.consumer.ordered is not None:
                    job.consumer.ordered.again(job)
                    continue
                case Join():
                    if not self._hand.join(job):
                        self.inlet.put(job)  # settled since: the record now says how
                    continue
                case Skip(reason):
                    if reason == "stale":
                        stats.stale += 1
                    else:
                        stats.duplicates += 1
                case Park() | Hold():
                    stats.parked += 1
                case _:
                    stats.dead += 1
            if row is not None and travels(row):
                self._hand.relay.send([row])
            self._hand.release(job)

    def failed(self, item: Job, error: Exception) -> None:
        """A claim that the database refuses, by itself: not ours to lose, so the broker keeps it."""
        logger.error("%s: %s cannot be claimed: %s", *item.key, error)
        self._hand.give_back(item)


def _without_edited(connection: Connection, jobs: Sequence[Job], decisions: Sequence[Decision]) -> list[Decision]:
    """A late copy of a message that was redriven with an edited body is stale, and no conflict."""
    copies = [
        (job.claim.queue, job.claim.event_id, job.claim.body_hash) if isinstance(decision, Conflict) else None
        for job, decision in zip(jobs, decisions, strict=True)
    ]
    edited = redriving.edited_away(connection, [copy for copy in copies if copy is not None])
    return [STALE if copy in edited else decision for copy, decision in zip(copies, decisions, strict=True)]
