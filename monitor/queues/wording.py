"""How a queue is put into cells and sentences. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.content import Content

from monitor.drawing import tones
from monitor.drawing.charts import chart, sparkline
from monitor.drawing.facts import Fact, fact, facts
from monitor.drawing.figures import UNKNOWN, age, count, duration, rate
from monitor.drawing.text import plain
from monitor.drawing.tones import Tone
from monitor.table.columns import Cell, Column

if TYPE_CHECKING:
    from engine.operations.fleet import QueueFigures

#: Seconds after which a depth is old: then the broker does not answer.
OLD = 8.0
#: Seconds that what waits may take before it is worth a warning.
SLOW = 60.0

#: How each state looks.
STATES: dict[str, tuple[str, str, Tone]] = {
    "missing": (tones.BAD, "missing", "bad"),
    "paused": (tones.PAUSED, "paused", "warn"),
    "circuit open": (tones.BAD, "circuit open", "bad"),
    "no consumer": (tones.WARN, "no consumer", "warn"),
}


def state(queue: QueueFigures) -> tuple[str, str, Tone]:
    """A glyph, a word where something is out of the ordinary, and their tone."""
    if queue.state:
        return STATES[queue.state]
    if queue.crowded:
        return tones.WARN, "crowded", "warn"
    if behind(queue):
        return tones.WARN, "behind", "warn"
    if queue.held:
        return tones.WARN, f"holds {count(queue.held)}", "warn"
    moves = bool(queue.rates.arrived or queue.rates.left or queue.unacked)
    return (tones.GOOD, "", "good") if moves else (tones.IDLE, "", "muted")


def name_cells(queue: QueueFigures, app: str) -> list[Cell]:
    """Its state, its name without the application's, and the state in a word unless all is well."""
    glyph, word, tone = state(queue)
    name = Cell(queue.name.removeprefix(f"{app}."))
    return [Cell(f"{glyph} ", tone), name, Cell(f"  {word}", tone)] if word else [Cell(f"{glyph} ", tone), name]


def behind(queue: QueueFigures) -> bool:
    """Whether more comes in than goes out, and what waits takes long by now."""
    if queue.lag is None or not queue.ready or queue.rates.left is None:
        return False
    return queue.lag > SLOW and (queue.rates.arrived or 0.0) >= queue.rates.left


def depth(queue: QueueFigures, now: float) -> Cell:
    """What waits; with a question mark when it is an old figure."""
    if queue.ready is None:
        return Cell(UNKNOWN, "muted")
    if queue.seen is not None and now - queue.seen > OLD:
        return Cell(f"{count(queue.ready)}?", "muted")
    return Cell(count(queue.ready), "strong" if queue.ready else "muted")


def figure(number: int | None, tone: Tone = "") -> Cell:
    """A count; nothing is muted."""
    return Cell(count(number), tone if number else "muted")


def speed(a_second: float | None, tone: Tone = "") -> Cell:
    """A rate; nothing is muted."""
    return Cell(rate(a_second), tone if a_second and a_second >= 0.05 else "muted")


def lag_cell(queue: QueueFigures) -> Cell:
    """How long what waits will take."""
    if queue.lag is None:
        return Cell(UNKNOWN, "muted")
    if math.isinf(queue.lag):
        return Cell("stuck", "warn")
    return Cell(age(queue.lag) if queue.lag >= 1 else "0", "warn" if queue.lag > SLOW else "" if queue.lag else "muted")


def oldest_cell(queue: QueueFigures) -> Cell:
    """How long the first in the queue has waited."""
    if queue.oldest is None or (queue.oldest.at_least and queue.oldest.seconds < 1):  # that would say nothing
        return Cell(UNKNOWN, "muted")
    more = ">" if queue.oldest.at_least else ""
    return Cell(f"{more}{age(queue.oldest.seconds)}", "warn" if queue.oldest.seconds > SLOW else "")


def urgency(queue: QueueFigures) -> tuple[int, float]:
    """What to look at first: trouble, then what waits longest."""
    _, _, tone = state(queue)
    return {"bad": 0, "warn": 1}.get(tone, 2), -(queue.lag or 0.0)


def columns(app: str, now: Callable[[], float]) -> list[Column[QueueFigures]]:
    """The columns of the list."""
    return [
        Column("name", "QUEUE", lambda queue: name_cells(queue, app), width=22, grow=3, most=56, sort=True),
        Column("ready", "READY", lambda queue: depth(queue, now()), width=7, right=True, sort=True, down=True),
        Column("unacked", "UNACKED", lambda queue: figure(queue.unacked), width=7, right=True, rank=3),
        Column("in", "IN/s", lambda queue: speed(queue.rates.arrived), width=5, right=True, sort=True, down=True),
        Column("out", "OUT/s", lambda queue: speed(queue.rates.left), width=5, right=True, sort=True, down=True),
        Column("lag", "LAG", lag_cell, width=6, right=True, rank=1, sort=True, down=True),
        Column("oldest", "OLDEST", oldest_cell, width=6, right=True, rank=2),
        Column("dead", "DEAD", lambda queue: figure(queue.dead, "bad"), width=6, right=True, sort=True, down=True),
        Column("letters", "IN DLQ", lambda queue: figure(queue.dead_letters, "warn"), width=6, right=True, rank=5),
        Column("consumers", "CONS", lambda queue: figure(queue.consumers), width=4, right=True, rank=4),
        Column("handler", "HANDLER", lambda queue: queue.handler, width=16, grow=1, most=32, rank=7, sort=True),
        Column("trend", "OUT, 5 MIN", lambda queue: Cell(sparkline(queue.trend, 20), "info"), width=20, rank=6),
    ]


#: What the list can be sorted by.
SORTS = {
    "name": lambda queue: queue.name,
    "ready": lambda queue: queue.ready,
    "in": lambda queue: queue.rates.arrived,
    "out": lambda queue: queue.rates.left,
    "lag": lambda queue: queue.lag,
    "dead": lambda queue: queue.dead,
    "handler": lambda queue: queue.handler,
}


def searched(queue: QueueFigures) -> str:
    """What a filter looks in."""
    return f"{queue.name} {queue.handler} {queue.state} {' '.join(queue.patterns)}"


def detail(queue: QueueFigures, now: float, width: int) -> Content:
    """All that is known of one queue."""
    glyph, word, tone = state(queue)
    rows: list[Fact | str] = [
        fact("handler", queue.handler),
        fact("bound to", ", ".join(queue.patterns) or UNKNOWN),
        fact("state", (f"{glyph} {word or ('idle' if tone == 'muted' else 'moving')}", tone)),
        *_said(queue, now),
        "",
        fact("ready", depth(queue, now).text),
        fact("unacked", count(queue.unacked)),
        fact("oldest", oldest_cell(queue).text, ("  as far as was seen", "muted") if queue.oldest else ""),
        fact("lag", lag_cell(queue).text, ("  until what waits is handled", "muted") if queue.lag else ""),
        fact(
            "consumers",
            count(queue.consumers),
            (f"  of {count(queue.workers)} living worker{'' if queue.workers == 1 else 's'}", "muted"),
        ),
        fact("dead", (count(queue.dead), "bad" if queue.dead else "")),
        fact("in DLQ", count(queue.dead_letters), ("  not taken in yet", "muted") if queue.dead_letters else ""),
        "",
        fact("in", f"{rate(queue.rates.arrived)}/s"),
        fact("out", f"{rate(queue.rates.left)}/s"),
        fact("failed", f"{rate(queue.rates.failed)}/s"),
    ]
    bars = chart(queue.trend, max(min(width, len(queue.trend)), 1), 5)
    drawn = [plain(bar, "info") for bar in bars]
    title = plain("out, a second, for 5 minutes", "muted")
    return Content("\n").join([plain(queue.name, "strong"), plain(""), facts(rows), plain(""), title, *drawn])


def _said(queue: QueueFigures, now: float) -> list[Fact]:
    """Why it is not consumed, in words."""
    found: list[Fact] = []
    if queue.paused is not None:
        paused = queue.paused
        found.append(fact("paused", f"{duration(now - paused.since)} ago by {paused.who}"))
        if paused.why:
            found.append(fact("because", paused.why))
    if queue.circuit is not None:
        circuit = queue.circuit.circuit
        wait = f"in {duration(circuit.next_probe - now)}" if circuit.next_probe > now else "now"
        found.append(fact("circuit", f"{circuit.failures:,} failures in a row: {circuit.cause.exception}"))
        found.append(fact("next try", wait))
    if queue.crowded:
        found.append(fact("crowded", ("consumed against another database, too", "warn")))
    if queue.held:
        found.append(fact("held", (count(queue.held), "warn"), ("  behind failures, in strict order", "muted")))
    return found
