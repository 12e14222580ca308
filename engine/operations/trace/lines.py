"""A trace in words, line by line. Untrusted text is in it as it is: whoever shows it makes it visible."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from engine.model.durations import format_duration
from engine.operations.trace.values import (
    Act,
    EventState,
    Handling,
    HandlingState,
    Node,
    Trace,
    TracedEvent,
    TracedFailure,
)

#: Characters of a failure's message.
MESSAGE = 120

_ACTS = {"redrive": "redriven", "replay": "replayed", "edit": "edited"}
_ENDS = {
    HandlingState.NOT_BEGUN: "not begun: it waits in its queue",
    HandlingState.FORGOTTEN: "so long ago that nobody remembers",
    HandlingState.KEYED: "goes by an idempotency key, see there",
}


class Line(NamedTuple):
    """A node in words: the branches that lead to it, the text, and its state in a word."""

    prefix: str
    text: str
    state: str
    node: Node


def lines(trace: Trace) -> Iterator[Line]:
    """The tree, a line for each node."""
    stems: list[str] = []
    for node in trace.nodes:
        del stems[max(node.depth - 1, 0) :]
        prefix = "".join(stems) + ("└─ " if node.last else "├─ ") if node.depth else ""
        if node.depth:
            stems.append("   " if node.last else "│  ")
        yield Line(prefix, *_said(node, trace), node)


def _said(node: Node, trace: Trace) -> tuple[str, str]:
    match node.what:
        case TracedEvent() as event:
            return _event(event, trace, root=not node.depth), str(event.state)
        case Handling() as handling:
            return _handling(handling, trace), str(handling.state)
        case TracedFailure() as failure:
            return _failure(failure, trace), str(failure.outcome or failure.status)
        case Act() as act:
            return _act(act, trace), act.outcome


def _event(event: TracedEvent, trace: Trace, *, root: bool) -> str:
    parts = [event.type or "an event", event.event_id]
    if event.aggregate:
        parts.append(event.aggregate)
    if root and event.at is not None:
        parts.append(date(event.at))
    elif event.at is not None:
        parts.append(_since(event.at, trace))
    if event.source and root:
        parts.append(f"from {event.source}")
    if event.state is EventState.UNKNOWN:
        parts.append("(not in the log)")
    elif event.state is EventState.DELAYED and event.due is not None:
        parts.append(f"delayed until {date(event.due)}")
    elif event.state is not EventState.PUBLISHED:
        parts.append({EventState.PROMISED: "not published yet"}.get(event.state, str(event.state)))
    return "  ".join(parts)


def _handling(handling: Handling, trace: Trace) -> str:
    parts = [handling.handler, _ENDS.get(handling.state, str(handling.state))]
    if handling.attempts > 1 or handling.state is HandlingState.WAITING:
        parts.append("1 attempt" if handling.attempts == 1 else f"{handling.attempts} attempts")
    if handling.began is not None:
        parts.append(_since(handling.began, trace))
        if handling.ended is not None:
            parts.append(f"took {format_duration(handling.ended - handling.began)}")
    if handling.due is not None:
        parts.append(f"next at {date(handling.due)}")
    return "  ".join(parts)


def _failure(failure: TracedFailure, trace: Trace) -> str:
    cause = ": ".join(filter(None, (failure.exception or failure.reason, failure.message)))
    cause = " ".join(cause[: 2 * MESSAGE].split())
    shown = cause if len(cause) <= MESSAGE else f"{cause[: MESSAGE - 1]}…"
    ends = str(failure.status) if failure.outcome is None else f"{failure.status}, {failure.outcome}"
    after = "1 attempt" if failure.attempts == 1 else f"{failure.attempts} attempts"
    return "  ".join([f"failure {failure.id}", shown, f"after {after}", _since(failure.at, trace), ends])


def _act(act: Act, trace: Trace) -> str:
    parts = [f"{_ACTS.get(act.kind, act.kind)} by {act.who}", *([f"“{act.why}”"] if act.why else [])]
    if act.operation is not None:
        parts.append(act.operation)
    return "  ".join([*parts, _since(act.at, trace), act.outcome])


def _since(at: float, trace: Trace) -> str:
    """How long after the beginning."""
    seconds = at - (at if trace.began is None else trace.began)
    return f"+{format_duration(seconds)}"


def date(at: float) -> str:
    """A moment as people write it, to the millisecond, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
