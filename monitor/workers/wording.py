"""How a worker is put into cells and sentences. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content

from monitor.drawing import tones
from monitor.drawing.facts import Fact, fact, facts
from monitor.drawing.figures import age, count, duration, latency
from monitor.drawing.text import line, plain, stack
from monitor.drawing.tones import Tone
from monitor.table.columns import Cell, Column

if TYPE_CHECKING:
    from engine.operations.workers import HandlerStats, WorkerState

#: Seconds without a beat after which one looks twice.
LATE = 12.0

#: How each state looks.
STATES: dict[str, tuple[str, Tone]] = {
    "running": (tones.GOOD, "good"),
    "starting": (tones.IDLE, "info"),
    "draining": (tones.WARN, "warn"),
    "silent": (tones.WARN, "warn"),
    "dead": (tones.BAD, "bad"),
    "stopped": (tones.IDLE, "muted"),
}


class WorkerRow(NamedTuple):
    """A worker with the sum of what its handlers counted."""

    worker: WorkerState
    total: HandlerStats

    @property
    def id(self) -> str:
        """The worker's."""
        return self.worker.id


def living_rows(workers: Sequence[WorkerState], *, every: bool = False) -> list[WorkerRow]:
    """The workers that live, or all that are known, with their sums."""
    from engine.operations.workers import summed_up

    return [WorkerRow(worker, summed_up(worker)) for worker in workers if worker.alive or every]


def uptime(worker: WorkerState, now: float) -> float:
    """How long it has worked, or had when it ended, in seconds."""
    return max((now if worker.alive else worker.beat) - worker.started, 0.0)


def state(worker: WorkerState) -> Cell:
    """A glyph and the word."""
    glyph, tone = STATES.get(worker.state, (tones.WARN, "warn"))
    return Cell(f"{glyph} {worker.state}", tone)


def beat(worker: WorkerState, now: float) -> Cell:
    """How long ago it said that it is there."""
    silence = max(now - worker.beat, 0.0)
    return Cell(age(silence), "warn" if worker.alive and silence > LATE else "muted")


def figure(number: int, tone: Tone = "") -> Cell:
    """A count; nothing is muted."""
    return Cell(count(number), tone if number else "muted")


def took(row: WorkerRow, part: float) -> Cell:
    """A percentile of how long its handlers took."""
    seconds = row.total.latency.percentile(part)
    return Cell(latency(seconds), "muted" if seconds is None else "")


def columns(now: Callable[[], float]) -> list[Column[WorkerRow]]:
    """The columns of the list."""
    return [
        Column("id", "WORKER", lambda row: row.id, width=14, grow=2, most=40, sort=True, tail=True),
        Column("state", "STATE", lambda row: state(row.worker), width=10, sort=True),
        Column(
            "up", "UP", lambda row: age(uptime(row.worker, now())), width=4, right=True, rank=1, sort=True, down=True
        ),
        Column("beat", "BEAT", lambda row: beat(row.worker, now()), width=4, right=True, rank=4),
        Column("queues", "QUEUES", lambda row: count(len(row.worker.queues)), width=6, right=True, rank=5),
        Column("hand", "IN HAND", lambda row: figure(row.total.in_flight), width=7, right=True, rank=3),
        Column("handled", "HANDLED", lambda row: figure(row.total.handled), width=8, right=True, sort=True, down=True),
        Column(
            "failed", "FAILED", lambda row: figure(row.total.failed, "warn"), width=7, right=True, sort=True, down=True
        ),
        Column("p50", "P50", lambda row: took(row, 0.5), width=6, right=True, rank=2, sort=True, down=True),
        Column("p95", "P95", lambda row: took(row, 0.95), width=6, right=True, sort=True, down=True),
        Column("p99", "P99", lambda row: took(row, 0.99), width=6, right=True, rank=2, sort=True, down=True),
        Column("host", "HOST", lambda row: row.worker.host, width=12, grow=1, most=30, rank=6, sort=True),
        Column("pid", "PID", lambda row: Cell(str(row.worker.pid), "muted"), width=7, right=True, rank=7),
        Column("version", "VERSION", lambda row: Cell(row.worker.version, "muted"), width=8, rank=8),
    ]


#: What the list can be sorted by. A worker's place must not depend on the time, so it is not the age itself.
SORTS: dict[str, Callable[[WorkerRow], object]] = {
    "id": lambda row: row.id,
    "state": lambda row: row.worker.state,
    "up": lambda row: -row.worker.started,
    "handled": lambda row: row.total.handled,
    "failed": lambda row: row.total.failed,
    "p50": lambda row: row.total.latency.percentile(0.5),
    "p95": lambda row: row.total.latency.percentile(0.95),
    "p99": lambda row: row.total.latency.percentile(0.99),
    "host": lambda row: row.worker.host,
}


def searched(row: WorkerRow) -> str:
    """What a filter looks in."""
    worker = row.worker
    return f"{worker.id} {worker.host} {worker.pid} {worker.state} {worker.group} {' '.join(worker.queues)}"


def detail(row: WorkerRow, app: str, now: float, width: int) -> Content:
    """All that is known of one worker, and what it counted for each handler."""
    worker, total = row.worker, row.total
    shown = state(worker)
    rows: list[Fact | str] = [
        fact("state", (shown.text, shown.tone)),
        fact("host", f"{worker.host}, process {worker.pid}"),
        fact("version", worker.version),
        fact("up" if worker.alive else "was up", duration(uptime(worker, now))),
        fact("last beat", f"{duration(max(now - worker.beat, 0.0))} ago"),
        "",
        fact("handled", count(total.handled)),
        fact(
            "failed",
            (count(total.failed), "warn" if total.failed else ""),
            (" attempt" if total.failed == 1 else " attempts", "muted"),
        ),
        fact("retried", count(total.retried)),
        fact("dead", (count(total.dead), "bad" if total.dead else "")),
        fact("duplicates", count(total.duplicates), (" skipped", "muted")),
        fact("in hand", count(total.in_flight)),
    ]
    if worker.group:
        rows.insert(2, fact("started by", worker.group))
    return stack([plain(worker.id, "strong"), plain(""), facts(rows), plain(""), *_handlers(worker, app, width)])


def _handlers(worker: WorkerState, app: str, width: int) -> list[Content]:
    """A line for each handler, as wide as there is room."""
    wide = max(width - 7 - 7 - 7 - 7, 8)
    head = f"{'handler':<{wide}}{'handled':>7}{'failed':>7}{'p50':>7}{'p99':>7}"
    lines = [plain(head, "muted")]
    counted = {one.queue: one.counts for one in worker.handlers}
    for queue in worker.queues:
        name = plain(queue.removeprefix(f"{app}."), width=wide - 1)
        lines.append(name.pad_right(max(wide - name.cell_length, 0)) + _counted(counted.get(queue)))
    return lines


def _counted(counts: HandlerStats | None) -> Content:
    if counts is None:
        return plain(f"{'0':>7}{'0':>7}{'–':>7}{'–':>7}", "muted")
    quick, slow = (latency(counts.latency.percentile(part)) for part in (0.5, 0.99))
    return line(
        f"{count(counts.handled):>7}",
        (f"{count(counts.failed):>7}", "warn" if counts.failed else "muted"),
        f"{quick:>7}{slow:>7}",
    )
