"""From facts to a tree: which event led to which, through which handler, and what became of each. Pure.

An event stands below the handler that emitted it, and a handler's work below the event that it got.
Whatever strangers claim of causes, in circles even, each event has one place.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from engine.model.failure import Status
from engine.model.outgoing import Kind
from engine.model.record import State
from engine.operations.trace.facts import Facts
from engine.operations.trace.values import (
    Act,
    EventState,
    Handling,
    HandlingState,
    Node,
    Trace,
    TracedEvent,
    TracedFailure,
    What,
)
from engine.storage.delayed import Fate
from engine.storage.event_log import LoggedEvent
from engine.storage.record_statements import Key

#: Seconds after which a missing record may have been forgotten: records are kept for a day at least.
KEPT = 86400.0

_STATES = {
    State.RUNNING: HandlingState.RUNNING,
    State.WAITING: HandlingState.WAITING,
    State.DONE: HandlingState.DONE,
    State.DEAD: HandlingState.DEAD,
}
_UNDER_WAY = (HandlingState.RUNNING, HandlingState.WAITING, HandlingState.NOT_BEGUN)


class _Branch(NamedTuple):
    """A node and its place among its siblings, before the tree is put in order."""

    at: float
    key: str
    what: What


def build(facts: Facts, now: float) -> Trace:
    """The trace of these facts; `now` in seconds since the epoch."""
    handlings = _handlings(facts, now)
    events = _all_events(facts, handlings, now)
    below: dict[str, list[_Branch]] = defaultdict(list)
    parents: dict[str, str] = {}
    for logged in facts.events:
        cause = logged.causation_id
        if cause is not None and cause in events and cause != logged.event_id:
            handled = (logged.queue, cause)
            parents[logged.event_id] = _handling_key(handled) if handled in handlings else _event_key(cause)
    for handling in handlings.values():
        key = (handling.queue, handling.event_id)
        below[_event_key(handling.event_id)].append(_branch(handling, _handling_key(key)))
    for key, branch in _beside(facts, handlings):
        below[_handling_key(key)].append(branch)
    roots: list[_Branch] = []
    for event in events.values():
        branch = _Branch(_when(event), _event_key(event.event_id), event)
        below[parents[event.event_id]].append(branch) if event.event_id in parents else roots.append(branch)
    nodes = _ordered(roots, below, events)
    times = [time for node in nodes for time in _times(node.what)]
    return Trace(
        correlation_id=facts.correlation_id,
        nodes=nodes,
        began=min(times, default=None),
        ended=max(times, default=None),
        events=len(events),
        handled=sum(one.state is HandlingState.DONE for one in handlings.values()),
        open_failures=sum(failure.status is Status.OPEN for failure in facts.failures),
        waiting=sum(one.state in _UNDER_WAY for one in handlings.values())
        + sum(event.state in (EventState.PROMISED, EventState.DELAYED) for event in events.values()),
        truncated=facts.truncated,
    )


# --- events ---------------------------------------------------------------------------------


def _all_events(facts: Facts, handlings: dict[Key, Handling], now: float) -> dict[str, TracedEvent]:
    emitting = {row.event_id for row in facts.promised if row.kind is Kind.EMIT}
    found = {event.event_id: _logged(event, facts, emitting, now) for event in facts.events}
    named = [
        *(event.causation_id for event in facts.events if event.causation_id),
        *(failure.event_id for failure in facts.failures),
        *(row.event_id for row in facts.promised),
        *(event_id for _, event_id in handlings),
        *facts.delays,
    ]
    for event_id in named:
        if event_id not in found:
            found[event_id] = _unlogged(event_id, facts, handlings)
    return found


def _logged(event: LoggedEvent, facts: Facts, emitting: set[str], now: float) -> TracedEvent:
    fate = facts.delays.get(event.event_id)
    state = EventState.PUBLISHED
    if fate is not None and fate.fate is Fate.CANCELLED:
        state = EventState.CANCELLED
    elif event.due is not None and event.due > now:
        state = EventState.DELAYED
    elif event.event_id in emitting:
        state = EventState.PROMISED
    return TracedEvent(
        event.event_id,
        event.event_type,
        event.position,
        str(event.origin),
        event.source,
        "/".join(part for part in (event.aggregate_type, event.aggregate_id) if part),
        event.time,
        event.due,
        state,
    )


def _unlogged(event_id: str, facts: Facts, handlings: dict[Key, Handling]) -> TracedEvent:
    """An event that others name: what they say of it."""
    delay = facts.delays.get(event_id)
    state, due = EventState.UNKNOWN, None
    if delay is not None and delay.fate is not Fate.SENT:
        state, due = EventState(delay.fate if delay.fate is Fate.CANCELLED else "delayed"), delay.due
    queues = [one.queue for one in handlings.values() if one.event_id == event_id]
    began = [one.began for one in handlings.values() if one.event_id == event_id and one.began is not None]
    return TracedEvent(
        event_id, _told_type(event_id, facts, queues), None, None, "", "", min(began, default=None), due, state
    )  # fmt: skip


def _told_type(event_id: str, facts: Facts, queues: list[str]) -> str:
    said = [failure.event_type for failure in facts.failures if failure.event_id == event_id]
    said += [row.event_type for row in facts.promised if row.event_id == event_id]
    if kind := next(filter(None, said), ""):
        return kind
    patterns = {facts.queues[queue].patterns for queue in queues if queue in facts.queues}
    if len(patterns) == 1 and len(only := next(iter(patterns))) == 1 and not {"*", "#"} & set(only[0]):
        return only[0]
    return ""


# --- handlings ------------------------------------------------------------------------------


def _handlings(facts: Facts, now: float) -> dict[Key, Handling]:
    due = {(row.routing_key, row.event_id): row.due for row in facts.promised if row.due is not None}
    found: dict[Key, Handling] = {}
    for key, record in facts.records.items():
        state = _STATES[record.state]
        ended = record.updated if state in (HandlingState.DONE, HandlingState.DEAD) else None
        found[key] = Handling(
            record.event_id,
            record.queue,
            _handler(record.queue, facts),
            state,
            record.run,
            record.attempts,
            record.created,
            ended,
            record.worker,
            due.get(key),
        )
    for failure in facts.failures:
        key = (failure.queue, failure.event_id)
        if key not in found or (found[key].state is HandlingState.FORGOTTEN and found[key].run < failure.run):
            state = HandlingState.DEAD if failure.status is Status.OPEN else HandlingState.FORGOTTEN
            found[key] = Handling(
                failure.event_id,
                failure.queue,
                failure.handler or _handler(failure.queue, facts),
                state,
                failure.run,
                failure.attempts,
                failure.first_failed,
                failure.last_failed,
                failure.worker,
                None,
            )
    for event in facts.events:
        for one in _expected(event, facts, now):
            found.setdefault((one.queue, one.event_id), one)
    return found


def _expected(event: LoggedEvent, facts: Facts, now: float) -> Iterable[Handling]:
    """What must come of an event in the queues that ask for it, if no record says more."""
    out = event.recorded if event.due is None else event.due
    fate = facts.delays.get(event.event_id)
    if out > now or (fate is not None and fate.fate is Fate.CANCELLED):
        return
    for queue in facts.queues.values():
        elsewhere = facts.exchanges.get(queue.queue, event.exchange) != event.exchange
        if elsewhere or not queue.wants(event.routing_key) or out < queue.first_declared:
            continue
        state = HandlingState.NOT_BEGUN if now - out < KEPT else HandlingState.FORGOTTEN
        if queue.queue in facts.keyed:
            state = HandlingState.KEYED
        yield Handling(event.event_id, queue.queue, queue.handler, state, 0, 0, None, None, "", None)


def _handler(queue: str, facts: Facts) -> str:
    declared = facts.queues.get(queue)
    return declared.handler if declared is not None else queue


def _beside(facts: Facts, handlings: dict[Key, Handling]) -> Iterable[tuple[Key, _Branch]]:
    """Failures, redrives, replays and edits, each with the handling that it is about."""
    keys: dict[int, Key] = {}
    for failure in facts.failures:
        keys[failure.id] = (failure.queue, failure.event_id)
        what = TracedFailure(
            *(failure.id, failure.queue, failure.run, failure.reason, failure.exception, failure.message),
            *(failure.attempts, failure.last_failed, failure.status, failure.outcome),
        )
        yield keys[failure.id], _branch(what, f"failure:{failure.id}")
    by_position = {event.position: event.event_id for event in facts.events}
    for each in facts.touched:
        key = (each.target, by_position[each.subject]) if each.kind == "replay" else keys[each.subject]
        if key in handlings:
            act = Act(each.kind, each.operation, each.who, each.why, each.at, each.outcome)
            yield key, _branch(act, f"{each.kind}:{each.operation}:{each.subject}")
    for edit in facts.edits:
        act = Act("edit", edit.operation, edit.who, edit.why, edit.at, edit.state)
        yield keys[edit.failure_id], _branch(act, f"edit:{edit.id}")


# --- order ----------------------------------------------------------------------------------


def _ordered(
    roots: list[_Branch],
    below: dict[str, list[_Branch]],
    events: dict[str, TracedEvent],
) -> tuple[Node, ...]:
    """The nodes in the order in which one reads them; each once."""
    nodes: list[Node] = []
    seen: set[str] = set()
    _walk(roots, below, nodes, seen)
    for event in sorted(events.values(), key=_when):
        # Only causes that go round in a circle leave any.
        if _event_key(event.event_id) not in seen:
            _walk([_Branch(_when(event), _event_key(event.event_id), event)], below, nodes, seen)
    return tuple(nodes)


def _walk(roots: list[_Branch], below: dict[str, list[_Branch]], nodes: list[Node], seen: set[str]) -> None:
    # Not recursive: a process may have gone on for thousands of events.
    waiting: list[tuple[_Branch, int | None, int, bool]]
    waiting = [(branch, None, 0, last) for branch, last in reversed(_siblings(roots, seen))]
    while waiting:
        branch, parent, depth, last = waiting.pop()
        here = len(nodes)
        nodes.append(Node(depth, parent, last, branch.key, branch.what))
        inner = _siblings(below.get(branch.key, []), seen)
        waiting += [(child, here, depth + 1, end) for child, end in reversed(inner)]


def _siblings(branches: list[_Branch], seen: set[str]) -> list[tuple[_Branch, bool]]:
    ordered = sorted((each for each in branches if each.key not in seen), key=lambda each: (each.at, each.key))
    seen.update(each.key for each in ordered)
    return [(each, each is ordered[-1]) for each in ordered]


def _branch(what: Handling | TracedFailure | Act, key: str) -> _Branch:
    at = what.began if isinstance(what, Handling) else what.at
    return _Branch(math.inf if at is None else at, key, what)


def _when(event: TracedEvent) -> float:
    return math.inf if event.at is None else event.at


def _times(what: What) -> Iterable[float]:
    match what:
        case TracedEvent():
            times = [what.at]
        case Handling():
            times = [what.began, what.ended]
        case _:
            times = [what.at]
    return (time for time in times if time is not None)


def _event_key(event_id: str) -> str:
    return f"event:{event_id}"


def _handling_key(key: Key) -> str:
    return f"handling:{key[0]}:{key[1]}"
