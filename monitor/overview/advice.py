"""What to do next, the most urgent first: pure conclusions from what was read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from monitor.drawing import tones
from monitor.drawing.figures import age, count, counted, rate
from monitor.drawing.tones import Tone
from monitor.failures.wording import cause
from monitor.queues.wording import SLOW, behind
from monitor.workers.wording import LATE

if TYPE_CHECKING:
    from engine.operations.failing import Failing
    from engine.operations.failures import Group
    from engine.operations.fleet import Fleet, QueueFigures
    from engine.operations.projections import Checkpoint
    from monitor.source.link import Standing

#: Failures this new, in seconds, are happening now.
RECENT = 300.0
#: Seconds after which something promised should have been published.
UNSENT = 30.0


class Advice(NamedTuple):
    """Something worth doing. `place` is the screen where it is done, `open` what that screen is told."""

    key: str
    tone: Tone
    text: str
    todo: str = ""
    place: str = ""
    open: Mapping[str, str] = {}

    @property
    def glyph(self) -> str:
        """Its tone without colours."""
        return {"bad": tones.BAD, "warn": tones.WARN, "good": tones.GOOD}.get(self.tone, tones.IDLE)


def advise(
    fleet: Fleet | None,
    failing: Failing | None,
    links: Mapping[str, Standing],
    now: float,
    app: str,
) -> list[Advice]:
    """All advice there is; one line of praise when nothing needs any."""
    found = [*_links(links, now)]
    if fleet is not None:
        found += [*_workers(fleet, now), *_queues(fleet, now, app), *_outbox(fleet, now)]
        if failing is not None:
            found += [*_failures(failing.groups, now), *_projections(failing.stopped, app)]
        if not found and failing is not None:
            found.append(_praise(fleet))
    order: dict[Tone, int] = {"bad": 0, "warn": 1}
    return sorted(found, key=lambda one: order.get(one.tone, 2))


def _links(links: Mapping[str, Standing], now: float) -> Iterator[Advice]:
    for name, standing in links.items():
        if standing.word != "lost":
            continue
        still = "What is in the database is shown all the same." if name == "broker" else "What was last read stays."
        lasts = age(max(now - standing.since, 1.0))
        yield Advice(f"link {name}", "bad", f"The {name} is lost for {lasts}: {standing.error}", standing.hint or still)


def _workers(fleet: Fleet, now: float) -> Iterator[Advice]:
    if not fleet.queues:
        yield Advice("queues", "info", "No queues yet: a worker declares them when it starts.", "warren worker")
        return
    if not any(worker.alive for worker in fleet.workers):
        waiting = sum(queue.ready or 0 for queue in fleet.queues)
        yield Advice("workers", "bad", f"No worker is alive, and {_waiting(waiting)}.", "warren worker", "workers")
    late = [
        worker for worker in fleet.workers if worker.state == "silent" or (worker.alive and now - worker.beat > LATE)
    ]
    for worker in late:
        silence = age(now - worker.beat)
        yield Advice(f"worker {worker.id}", "warn", f"{worker.id} has said nothing for {silence}.", "look", "workers")


def _queues(fleet: Fleet, now: float, app: str) -> Iterator[Advice]:
    for queue in fleet.queues:
        name = queue.name.removeprefix(f"{app}.")
        found = _queue(queue, name, now)
        if found is not None:
            yield found._replace(place="queues", open={"queue": queue.name})


def _queue(queue: QueueFigures, name: str, now: float) -> Advice | None:
    key = f"queue {queue.name}"
    if queue.missing:
        return Advice(key, "bad", f"{name} is not on the broker.", "start its worker")
    if queue.circuit is not None:
        circuit = queue.circuit.circuit
        wait = f"in {age(circuit.next_probe - now)}" if circuit.next_probe > now else "now"
        text = f"{name} is left alone: {circuit.failures} failures in a row, {circuit.cause.exception}."
        return Advice(key, "bad", text, f"next try {wait}; p resumes")
    if queue.paused is not None:
        why = f" ({queue.paused.why})" if queue.paused.why else ""
        text = f"{name} is paused for {age(now - queue.paused.since)} by {queue.paused.who}{why}."
        return Advice(key, "warn", text, f"{_waiting(queue.ready or 0)}; p resumes")
    if queue.crowded:
        return Advice(key, "warn", f"{name} is consumed against another database, too.", "warren doctor")
    if queue.ready and queue.consumers == 0 and queue.workers:
        return Advice(key, "warn", f"{name}: {_waiting(queue.ready)}, and nobody consumes.", "look at its worker")
    if queue.workers and (behind(queue) or (queue.lag is not None and queue.lag > SLOW and queue.ready)):
        lag = "nothing moves" if queue.lag is not None and math.isinf(queue.lag) else f"{age(queue.lag)} behind"
        moves = f"in {rate(queue.rates.arrived)}/s, out {rate(queue.rates.left)}/s"
        return Advice(key, "warn", f"{name}: {_waiting(queue.ready or 0)}, {lag}; {moves}.", "more workers")
    return None


def _failures(groups: Sequence[Group], now: float) -> Iterator[Advice]:
    for group in sorted(groups, key=lambda one: (now - one.last_seen >= RECENT, -one.total)):
        recent = now - group.last_seen < RECENT
        row = group.latest
        when = f"{age(now - group.last_seen)} ago" if now - group.last_seen >= 1 else "just now"
        text = f"{row.handler or row.queue}: {count(group.total)} failed, the last {when}: {cause(row)}"
        yield Advice(
            f"cause {group.fingerprint}",
            "bad" if recent else "warn",
            text,
            "look, mend, redrive",
            "failures",
            {"filter": f"cause:{group.fingerprint}"},
        )


def _outbox(fleet: Fleet, now: float) -> Iterator[Advice]:
    oldest = fleet.outbox.oldest
    if oldest is not None and now - oldest > UNSENT:
        text = f"Promised and not published: {count(fleet.outbox.waiting)}, the oldest for {age(now - oldest)}."
        yield Advice("outbox", "warn", text, "is the broker there, and a worker?")


def _projections(stopped: Sequence[Checkpoint], app: str) -> Iterator[Advice]:
    for row in stopped:
        which = "the rebuilt " if row.suffix else ""
        text = f"{which}{row.name.removeprefix(f'{app}.')} stands at event {row.failed_position:,}: {row.error}"
        key = f"projection {row.name}{row.suffix}"
        yield Advice(key, "bad", text, "look, mend, resume", "events", {"show": "projections"})


def _praise(fleet: Fleet) -> Advice:
    queues, workers = counted(len(fleet.queues), "queue"), counted(sum(each.alive for each in fleet.workers), "worker")
    return Advice("well", "good", f"All is well: {queues}, {workers}, nothing has failed.")


def _waiting(number: int) -> str:
    return "1 message waits" if number == 1 else f"{count(number)} messages wait"
