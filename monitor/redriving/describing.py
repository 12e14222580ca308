"""What a redrive would do, and how an operation fares, in lines to read. Pure; times in seconds since the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.operations.text import visible
from monitor.drawing.figures import age, counted, duration
from monitor.drawing.tones import Tone
from monitor.failures.wording import State, moment
from monitor.reading.lines import EMPTY, Line, Part, Role, columns, line

if TYPE_CHECKING:
    from engine.operations.progress import Operation, Options
    from engine.operations.redrive import Plan

#: Queues that a plan names one by one.
MOST_QUEUES = 6

_STATES = {
    "preparing": State("…", "preparing", "muted"),
    "running": State("▶", "running", "good"),
    "paused": State("‖", "paused", "warn"),
    "stopped": State("■", "stopped", "bad"),
    "cancelled": State("✗", "cancelled", "muted"),
    "done": State("✓", "done", "good"),
}
_STAGES = {"canary": "canary first", "sending": "sending", "verifying": "all sent, awaiting outcomes"}
_GLYPHS: dict[str, tuple[str, Role]] = {
    "ready": ("✓", "good"),
    "forgotten": ("!", "warn"),
    "conflict": ("✗", "bad"),
    "no_queue": ("✗", "bad"),
}


def plan_lines(plan: Plan, *, asked: bool = True) -> list[Line]:
    """A dry run: how many messages go where, and why others do not. `asked`: the broker said which queues are there."""
    from engine.operations.redrive import MEANING, SENT

    queues = plan.queues()
    lines: list[Line] = []
    if queues:
        lines += columns((f"{number:>9,}", f"to {visible(queue)}") for queue, number in queues.most_common(MOST_QUEUES))
        if len(queues) > MOST_QUEUES:
            lines.append(line(Part(f"          and to {len(queues) - MOST_QUEUES:,} more queues", "muted")))
        lines.append(EMPTY)
    for verdict, number in sorted(plan.verdicts().items(), key=lambda item: (item[0] not in SENT, -item[1])):
        glyph, role = _GLYPHS.get(verdict, ("–", "muted"))
        lines.append(line(Part(f"{glyph} {number:>7,}  ", role), MEANING[verdict]))
    if plan.again:
        lines.append(line(Part("✓ What succeeded meanwhile is run once more; ctrl+a leaves it out.", "warn")))
    if not asked:
        lines.append(line(Part("! The broker does not answer. What is started now is sent when it is back.", "warn")))
    return lines


def state(operation: Operation) -> State:
    """The state of an operation, with its stage while it runs."""
    shown = _STATES[operation.state]
    if operation.state == "running":
        return shown._replace(word=_STAGES[operation.stage])
    if operation.state == "done" and operation.failed:
        return State("✗", f"done, {operation.failed:,} failed", "bad")
    return shown


def operation_lines(operation: Operation, now: float, width: int, said: str = "") -> list[Line]:
    """An operation: its state, its progress, its outcomes and how it was ordered. `said` is told with it."""
    shown = state(operation)
    lines = [line(Part(f"{operation.kind} {operation.id}", "title"), "   ", Part(str(shown), shown.tone))]
    if operation.note:
        lines.append(line(Part(visible(operation.note), "bad" if operation.state == "stopped" else "warn")))
    if said:
        lines.append(line(Part(said, "warn")))
    lines += [EMPTY, _bar(operation, max(min(width, 100), 20)), *_outcomes(operation), EMPTY]
    to = f" to {visible(operation.target)}" if operation.target else ""
    lines += columns(
        (
            ("what", f"{counted(operation.total, 'message')}{to}, ordered by {visible(operation.who)}"),
            ("why", visible(operation.why)),
            ("how", f"{_canary(operation)}, {_rate(operation)}; {_stops(operation)}"),
            ("when", _time(operation, now)),
        )
    )
    return lines


def _bar(operation: Operation, width: int) -> Line:
    return tuple(Part(text, tone) for text, tone in bar(operation, width))


def bar(operation: Operation, width: int) -> Sequence[tuple[str, Tone]]:
    """Succeeded, failed, on their way, left out, not yet sent: a stretch for each, told apart by its pattern too."""
    parts: tuple[tuple[int, str, Tone], ...] = (
        (operation.succeeded, "█", "good"),
        (operation.failed, "✗", "bad"),
        (operation.pending, "▒", "warn"),
        (operation.skipped, "–", "muted"),
        (operation.waiting, "░", "muted"),
    )
    counts = shares([number for number, _, _ in parts], width)
    return [(glyph * cells, tone) for cells, (_, glyph, tone) in zip(counts, parts, strict=True) if cells]


def shares(numbers: Sequence[int], width: int) -> list[int]:
    """Cells for each number, `width` in all: in proportion, and at least one for what is not zero."""
    total = sum(numbers)
    if not total:
        return [0] * len(numbers)
    cells = [max(number * width // total, 1) if number else 0 for number in numbers]
    cells[cells.index(max(cells))] += width - sum(cells)
    return cells


def _outcomes(operation: Operation) -> list[Line]:
    sent = line(
        Part(f"{operation.sent:,} of {operation.total:,} sent", "strong"),
        f"   {operation.pace:,.0f}/s" if operation.pace else "",
        f"   {duration(operation.eta)} left" if operation.eta is not None else "",
    )
    counts: list[tuple[str, int, str, Role]] = [
        ("✓", operation.succeeded, "succeeded", "good"),
        ("✗", operation.failed_again, "failed again", "bad"),
        ("✗", operation.failed_otherwise, "failed otherwise", "bad"),
        ("▒", operation.pending, "on their way", "warn"),
        ("–", operation.skipped, "left alone", "muted"),
        ("░", operation.waiting, "not yet sent", "muted"),
    ]
    return [sent, tuple(Part(f"{glyph} {number:,} {word}   ", role) for glyph, number, word, role in counts if number)]


def _canary(operation: Operation) -> str:
    number = operation.options.canary
    return f"{number:,} {'canary' if number == 1 else 'canaries'} first" if number else "no canary"


def _rate(operation: Operation) -> str:
    options = operation.options
    limit = "as fast as it goes" if options.rate is None else f"at most {options.rate:g}/s"
    return f"{limit} after 1/s, 10/s, …" if options.ramp else limit


def _stops(operation: Operation) -> str:
    options = operation.options
    return f"stops by itself {stops_words(options)}" if options.stop_after else "stopped by hand only"


def stops_words(options: Options) -> str:
    """When an operation with these options stops by itself."""
    share = f" and {options.stop_share:.0%}" if options.stop_share else ""
    return f"at {counted(options.stop_after, 'failure')}{share}"


def _time(operation: Operation, now: float) -> str:
    ordered = moment(operation.created, now)
    if operation.started is None:
        return f"{ordered}, not begun for {age(now - operation.created)}"
    if operation.ended is not None:
        return f"{ordered}, took {duration(operation.ended - operation.started)}"
    return f"{ordered}, under way for {age(now - operation.started)}"
