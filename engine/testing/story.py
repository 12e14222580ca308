"""What a harness saw: every outcome that was committed, in order, and how it tells of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from engine.errors import DecodingError
from engine.model.codec import Envelope, build_event, decode, payloads
from engine.model.codec.reply import OK
from engine.model.event import Event, EventData
from engine.model.handler import HandlerSpec
from engine.model.outgoing import Kind, Outgoing
from engine.model.record import State
from engine.model.topology import topic_matches
from engine.runtime.job import Job
from engine.runtime.outcomes import Outcome

#: Characters of an exception's text in a story.
_TEXT = 120


class Retry(NamedTuple):
    """A failed attempt that is followed by another, `delay` seconds later at the earliest.

    `attempt` counts from 1 and is the one that failed; `event` is None where the message could not be read.
    """

    handler: str
    event: Event[Any] | None
    attempt: int
    error: BaseException | None
    delay: float


class Ended(NamedTuple):
    """A message that a handler is done with: handled, or given up with `error`."""

    queue: str
    event: Event[Any] | None
    error: BaseException | None = None


class Emitted(NamedTuple):
    """An event on its way out of a handler."""

    queue: str
    envelope: Envelope


class Story:
    """The observer of a worker's outcomes. `now` is the clock that its lines are dated by."""

    def __init__(self, specs: Iterable[HandlerSpec], now: Callable[[], float]) -> None:
        self.handled: list[Ended] = []
        self.retried: list[tuple[str, Retry]] = []
        self.dead: list[Ended] = []
        self.emitted: list[Emitted] = []
        self.lines: list[str] = []
        self._now = now
        self._begun = now()
        self._models = payloads([model for spec in specs for model in (*spec.models, *spec.emits)], open=True)

    def tell(self, text: str) -> None:
        """Add a line."""
        self.lines.append(f"{self._now() - self._begun:+10.2f} s  {text}")

    def observe(self, outcome: Outcome) -> None:
        """An outcome was committed."""
        job, error = outcome.job, outcome.error
        name, what = job.consumer.name, _shown(job)
        attempt = outcome.record.attempts
        if outcome.record.state is State.DONE:
            self.handled.append(Ended(job.consumer.queue, job.event))
            self.tell(f"handled    {name}: {what}, attempt {attempt}")
        elif outcome.record.state is State.WAITING:
            row = next(row for row in outcome.rows if row.kind is Kind.RETRY)
            delay = max(0.0, (row.due or row.created) - row.created)
            self.retried.append((job.consumer.queue, Retry(name, job.event, attempt, error, delay)))
            self.tell(f"failed     {name}: {what}, attempt {attempt}: {_raised(error)}; again in {delay:.2f} s")
        else:
            self.dead.append(Ended(job.consumer.queue, job.event, error))
            self.tell(f"dead       {name}: {what}, attempt {attempt}: {_raised(error)}")
        for row in outcome.rows:
            if row.kind in (Kind.EMIT, Kind.SEND):
                self._sent(job, row)

    def answered(self, job: Job, status: str) -> None:
        """A query was run: nothing was committed."""
        if status == OK:
            self.handled.append(Ended(job.consumer.queue, job.event))
        self.tell(f"answered   {job.consumer.name}: {_shown(job)}: {status}")

    def _sent(self, job: Job, row: Outgoing) -> None:
        envelope = decode(row.message, row.routing_key)
        self.emitted.append(Emitted(job.consumer.queue, envelope))
        wait = f", due in {row.due - row.created:g} s" if row.due is not None else ""
        self.tell(f"emitted    {job.consumer.name}: {envelope.type} {envelope.id}{wait}")

    def events(self, kind: type[EventData] | str | None) -> list[Event[Any]]:
        """The emitted events of a class, of a type or topic pattern, or all."""
        if isinstance(kind, str) or kind is None:
            pattern, models = kind or "#", self._models
        else:
            pattern, models = str(kind.__warren_type__), payloads([kind])
        found = [each.envelope for each in self.emitted if topic_matches(pattern, each.envelope.type)]
        now = datetime.fromtimestamp(self._now(), UTC)
        return [build_event(envelope, models, id=str(envelope.id), now=now) for envelope in found]

    def text(self, title: str, notes: Sequence[str] = ()) -> str:
        """All of it, for a failure message."""
        lines = self.lines or ["(nothing: no message reached a handler)"]
        return "\n".join([title, *(f"  {note}" for note in notes), "what the harness saw:", *(f"  {x}" for x in lines)])


def _shown(job: Job) -> str:
    envelope = job.envelope
    return f"{envelope.type if envelope else 'an unreadable message'} {job.event_id}"


def _raised(error: BaseException | None) -> str:
    if error is None:
        return "nothing raised"
    reason = error.message if isinstance(error, DecodingError) else str(error)
    text = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}…"
