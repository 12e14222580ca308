"""An attempt that failed: a retry or a dead letter, as the handler's policy decides."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

from engine.errors import Rejected, RequestTimeout
from engine.model import record as transitions
from engine.model.deadletter import DeadLetter, describe, fingerprint
from engine.model.retry import DeadLetter as GiveUp
from engine.model.retry import RetryAfter, RetryPolicy
from engine.runtime import clock, replying
from engine.runtime.job import Job
from engine.runtime.outcomes import Outcome
from engine.runtime.resend import dead_row, first_failed, origin, retry_row

if TYPE_CHECKING:
    from engine.storage.writer import Inlet

logger = logging.getLogger("warren.handler")


class Failing:
    """What becomes of the failed attempts of one handler."""

    settle: Inlet[Outcome]

    def __init__(
        self, policy: RetryPolicy, *, handler: str, queue: str, app: str, worker: str, replies: bool = False
    ) -> None:
        self.policy = policy
        self._handler = handler
        self._queue = queue
        self._app = app
        self._worker = worker
        self._replies = replies

    def fail(self, job: Job, error: BaseException) -> None:
        """The attempt failed with this error: hand its outcome on to be written."""
        assert job.record is not None
        now, attempt = clock.now(), job.record.attempts
        try:
            decision = self.policy.decide(attempt, error, now - job.record.created, random.random())
        except Exception as broken:
            logger.error("%s: the retry policy itself failed, dead-lettering: %s", self._handler, broken)
            decision = GiveUp("retry policy failed")
        until = replying.deadline(job.message)
        if until is not None and isinstance(decision, RetryAfter) and now + decision.delay >= until:
            decision = GiveUp("its deadline passed")  # nobody waits for a later attempt
        if isinstance(decision, RetryAfter):
            record = transitions.retry(job.record, now)
            logger.info(
                "%s failed on %s, attempt %d: %s; next in %.2f s",
                self._handler,
                job.event_id,
                attempt,
                type(error).__name__,
                decision.delay,
            )
            self.settle.put(Outcome(job, record, [retry_row(job, record, decision.delay, now)], error))
            return
        record = transitions.bury(job.record, now)
        logger.warning(
            "%s gave up on %s, attempt %d (%s): %s",
            self._handler,
            job.event_id,
            attempt,
            decision.reason,
            type(error).__name__,
        )
        letter = self._letter(job, error, decision.reason, now)
        rows = [dead_row(job, letter, self._app, now)]
        if self._replies and replying.waits(job.message, now):
            body = replying.failure(letter.exception, letter.message)
            rows.append(replying.reply_row(job, replying.FAILED, body, self._app, now))
        self.settle.put(Outcome(job, record, rows, error))

    def reject(self, job: Job, error: Rejected) -> None:
        """The handler refused the message: a reply to whoever waits, else a dead letter at once."""
        assert job.record is not None
        now = clock.now()
        if self._replies and replying.waits(job.message, now):
            row = replying.reply_row(job, replying.REJECTED, replying.refusal(error), self._app, now)
            self.settle.put(Outcome(job, transitions.finish(job.record, now), [row]))
            return
        logger.warning("%s rejected %s: %s", self._handler, job.event_id, error.message)
        self._bury(job, self._letter(job, error, "rejected", now), now)

    def expire(self, job: Job, until: float) -> None:
        """The time is over within which the message was to be begun: it is given up, and was not run now."""
        assert job.record is not None
        now = clock.now()
        late = f"its sender waited for the reply until {now - until:.1f} s ago"
        logger.warning("%s did not begin %s: %s; are the clocks of both right?", self._handler, job.event_id, late)
        self._bury(job, self._letter(job, RequestTimeout(late), "expired", now), now)

    def _bury(self, job: Job, letter: DeadLetter, now: float) -> None:
        assert job.record is not None
        record = transitions.bury(job.record, now)
        self.settle.put(Outcome(job, record, [dead_row(job, letter, self._app, now)]))

    def _letter(self, job: Job, error: BaseException, reason: str, now: float) -> DeadLetter:
        assert job.record is not None
        what = describe(error)
        exchange, key = origin(job)
        return DeadLetter(
            reason=reason,
            exception=what.exception,
            message=what.message,
            traceback=what.traceback,
            attempts=job.record.attempts,
            run=job.record.run + 1,
            first_failed=first_failed(job, now),
            last_failed=now,
            queue=self._queue,
            handler=self._handler,
            worker=self._worker,
            exchange=exchange,
            routing_key=key,
            fingerprint=fingerprint(what.exception, self._handler, what.top_frame),
        )
