"""How the nodes of a trace are put into cells and sentences. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from monitor.drawing import tones
from monitor.drawing.figures import counted, duration, latency
from monitor.drawing.tones import Tone
from monitor.failures.wording import moment
from monitor.reading.lines import EMPTY, Line, Part, columns, line
from monitor.table.columns import Cell, Column

if TYPE_CHECKING:
    from engine.operations import trace
    from engine.operations.trace import Act, Handling, Trace, TracedEvent, TracedFailure

#: How each state looks: with a glyph that differs in shape, so that it does without colour.
STATES: dict[str, tuple[str, Tone]] = {
    "published": ("◆", "info"),
    "promised": ("◇", "warn"),
    "delayed": ("◇", "warn"),
    "cancelled": ("◇", "muted"),
    "unknown": ("◇", "muted"),
    "not begun": (tones.IDLE, "warn"),
    "running": ("▶", "warn"),
    "waiting": ("↻", "warn"),
    "done": (tones.GOOD, "good"),
    "dead": (tones.BAD, "bad"),
    "forgotten": (tones.IDLE, "muted"),
    "keyed": (tones.IDLE, "muted"),
    "open": (tones.BAD, "bad"),
    "failed again": (tones.BAD, "bad"),
    "failed otherwise": (tones.BAD, "bad"),
    "redriven": ("↻", "warn"),
    "pending": ("↻", "warn"),
    "archived": (tones.IDLE, "muted"),
    "succeeded": ("✓", "good"),
}
#: What an act is called once it is done.
ACTS = {"redrive": "redriven", "replay": "replayed", "edit": "edited"}
#: States in more words, for the side pane.
MEANINGS = {
    "promised": "committed, not published yet: it is in the outbox",
    "unknown": "others name it; the log does not have it",
    "not begun": "it waits in its queue",
    "waiting": "another attempt is on its way",
    "forgotten": "so long ago that its record is gone",
    "keyed": "its record goes by an idempotency key",
}


class TraceRow(NamedTuple):
    """A node, the branches that lead to it, and when the trace began."""

    prefix: str
    text: str
    state: str
    node: trace.Node
    began: float | None

    @property
    def key(self) -> str:
        """The node's."""
        return self.node.key


def rows(found: Trace) -> list[TraceRow]:
    """The tree, a row for each node."""
    from engine.operations import trace

    return [TraceRow(*each, found.began) for each in trace.lines(found)]


def tree_columns() -> list[Column[TraceRow]]:
    """The columns of the tree."""
    return [
        Column("since", "SINCE", since, width=7, right=True),
        Column("what", "WHAT", branch, width=30, grow=4),
        Column("took", "TOOK", took, width=6, right=True, rank=1),
        Column("state", "STATE", state, width=12),
    ]


def since(row: TraceRow) -> Cell:
    """How long after the beginning it happened."""
    at = when(row)
    if at is None or row.began is None:
        return Cell("")
    return Cell(f"+{latency(max(at - row.began, 0.0))}", "muted")


def when(row: TraceRow) -> float | None:
    """When it happened, in seconds since the epoch."""
    from engine.operations.trace import Handling

    what = row.node.what
    return what.began if isinstance(what, Handling) else what.at


def state(row: TraceRow) -> Cell:
    """Its state in a word."""
    return Cell(row.state, _looks(row.state)[1])


def took(row: TraceRow) -> Cell:
    """How long a handling took, its waiting between attempts included."""
    from engine.operations.trace import Handling

    what = row.node.what
    if not isinstance(what, Handling) or what.began is None or what.ended is None:
        return Cell("")
    return Cell(latency(max(what.ended - what.began, 0.0)), "muted")


def branch(row: TraceRow) -> Sequence[Cell]:
    """The branches, a glyph, what it is, and what is to be said of it."""
    name, said, tone = _said(row)
    glyph, colour = _looks(row.state)
    return (
        Cell(row.prefix, "muted"),
        Cell(f"{glyph} ", colour),
        Cell(name, tone),
        Cell(f"  {said}" if said else "", "muted"),
    )


def _looks(state: str) -> tuple[str, Tone]:
    return STATES.get(state, ("·", "muted"))


def _said(row: TraceRow) -> tuple[str, str, Tone]:
    """The name of a node, what is said of it, and the tone of its name."""
    from engine.operations.trace import Act, Handling, TracedEvent, TracedFailure

    match row.node.what:
        case TracedEvent() as event:
            return event.type or "an event", "  ".join(filter(None, (event.aggregate, event.event_id))), "strong"
        case Handling() as handling:
            return handling.handler, counted(handling.attempts, "attempt") if handling.attempts > 1 else "", ""
        case TracedFailure() as failure:
            return f"failure #{failure.id}", cause(failure), "bad"
        case Act() as act:
            why = f"“{act.why}”" if act.why else ""
            return (
                f"{ACTS.get(act.kind, act.kind)} by {act.who}",
                "  ".join(filter(None, (act.operation, why))),
                "accent",
            )


def cause(failure: TracedFailure) -> str:
    """What went wrong: the exception and its message, else the reason."""
    return ": ".join(filter(None, (failure.exception or failure.reason, failure.message)))


def summary(found: Trace, now: float) -> list[tuple[str, Tone]]:
    """The trace in one line."""
    pieces: list[tuple[str, Tone]] = [
        (counted(found.events, "event"), "strong"),
        (f", {found.handled:,} handled", ""),
    ]
    if found.open_failures:
        pieces.append((f", {tones.BAD} {counted(found.open_failures, 'open failure')}", "bad"))
    if found.waiting:
        pieces.append((f", {found.waiting:,} under way", "warn"))
    if found.began is not None and found.ended is not None:
        pieces.append((f", {_moment(found.began, now)} + {latency(found.ended - found.began)}", "muted"))
    if found.truncated:
        pieces.append((", cut: there is more than was read", "warn"))
    return pieces


# --- one node, to read ------------------------------------------------------------------------


def detail(row: TraceRow, now: float) -> list[Line]:
    """All that is known of a node, line by line, made safe."""
    from engine.operations.text import visible
    from engine.operations.trace import Act, Handling, TracedEvent, TracedFailure

    match row.node.what:
        case TracedEvent() as event:
            facts = _event(event, now)
        case Handling() as handling:
            facts = _handling(handling, now)
        case TracedFailure() as failure:
            facts = _failure(failure, now)
        case Act() as act:
            facts = _act(act, now)
    name, _, _ = _said(row)
    glyph, tone = _looks(row.state)
    meaning = MEANINGS.get(row.state, "")
    told = [("state", f"{row.state}: {meaning}" if meaning else row.state), *facts]
    shown = [(label, visible(value)) for label, value in told]
    return [line(Part(f"{glyph} ", tone), Part(visible(name), "strong")), EMPTY, *columns(shown)]


def _event(event: TracedEvent, now: float) -> list[tuple[str, str]]:
    return [
        ("event", event.event_id),
        ("aggregate", event.aggregate),
        ("from", event.source),
        ("logged as", f"{event.origin}, at {event.position:,}" if event.position is not None else ""),
        ("at", _moment(event.at, now)),
        ("due", _moment(event.due, now)),
    ]


def _handling(handling: Handling, now: float) -> list[tuple[str, str]]:
    both = handling.began is not None and handling.ended is not None
    return [
        ("queue", handling.queue),
        ("handler", handling.handler),
        ("event", handling.event_id),
        ("attempts", str(handling.attempts) if handling.attempts else ""),
        ("run", str(handling.run) if handling.run else ""),
        ("began", _moment(handling.began, now)),
        ("ended", _moment(handling.ended, now)),
        ("took", duration((handling.ended or 0) - (handling.began or 0)) if both else ""),
        ("next", _moment(handling.due, now)),
        ("worker", handling.worker),
    ]


def _failure(failure: TracedFailure, now: float) -> list[tuple[str, str]]:
    return [
        ("cause", cause(failure)),
        ("reason", failure.reason),
        ("queue", failure.queue),
        ("attempts", f"{failure.attempts} in run {failure.run}"),
        ("failed", _moment(failure.at, now)),
        ("status", f"{failure.status}, {failure.outcome}" if failure.outcome else str(failure.status)),
        ("", "enter shows the message"),
    ]


def _act(act: Act, now: float) -> list[tuple[str, str]]:
    return [
        ("by", act.who),
        ("why", act.why),
        ("at", _moment(act.at, now)),
        ("operation", act.operation or ""),
    ]


def _moment(at: float | None, now: float) -> str:
    return "" if at is None else moment(at, now)


def copied(row: TraceRow) -> str:
    """What `y` copies: the line with its ids, without the branches."""
    return row.text
