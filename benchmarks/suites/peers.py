"""Consuming and emitting, against the Python peers and a bare loop."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import uuid

from benchmarks import bed
from benchmarks.table import against, contest, table

PEERS = ("faststream", "dramatiq", "celery", "taskiq")
#: Peers take their own messages; the slow ones get fewer, since it is rates that are compared.
SHARE = {"celery": 0.25, "taskiq": 0.25, "dramatiq": 0.5, "faststream": 0.5}


def consume(url: str, runs: int, count: int) -> None:
    """Consuming: Warren with durable idempotency, the peers without any, a bare loop with batched acks."""
    medians = _medians(url, runs, count, "consume", ("bare", "warren", *PEERS))
    best = max(PEERS, key=lambda name: medians[name])
    table(
        f"Consuming {count:,} messages of 330 bytes, one process, medians of {runs} turns",
        [(name, f"{median:>8,.0f}/s") for name, median in medians.items()]
        + [
            (f"warren / {best}, the best peer", against(medians["warren"] / medians[best], 2.0)),
            ("warren / faststream", against(medians["warren"] / medians["faststream"], 1.5)),
            ("warren / bare", against(medians["warren"] / medians["bare"], 0.75)),
        ],
    )


def emit(url: str, runs: int, count: int) -> None:
    """A handler that emits one event for each: Warren by its outbox, the peers by a publish."""
    peers = ("faststream", "dramatiq")
    medians = _medians(url, runs, count // 2, "emit", ("warren", *peers))
    best = max(peers, key=lambda name: medians[name])
    table(
        f"Handling {count // 2:,} messages that emit one each, one process, medians of {runs} turns",
        [(name, f"{median:>8,.0f}/s") for name, median in medians.items()]
        + [(f"warren / {best}, the best peer", against(medians["warren"] / medians[best], 1.5))],
    )


def metrics(url: str, runs: int, count: int) -> None:
    """Consuming with metrics served and read every second, against consuming without."""
    rates: dict[str, list[float]] = {"consume": [], "metrics": []}
    for _ in range(2 * runs):
        for act, taken in rates.items():
            taken.append(_once(url, "warren", act, 5 * count))  # starting the reader weighs less
    without, with_them = (statistics.median(rates[act]) for act in rates)
    table(
        "What metrics cost",
        [
            ("without, messages/s", f"{without:,.0f}"),
            ("read every second, messages/s", f"{with_them:,.0f}"),
            ("cost, %", against(100 * (1 - with_them / without), 5, at_most=True)),
        ],
    )


def _medians(url: str, runs: int, count: int, act: str, names: tuple[str, ...]) -> dict[str, float]:
    rates: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(runs):
        for name, taken in rates.items():
            taken.append(_once(url, name, act, max(500, int(count * SHARE.get(name, 1.0)))))
            print(f"  {act} {name:<12} {taken[-1]:>8,.0f}/s", flush=True)
    return {name: statistics.median(taken) for name, taken in rates.items()}


def _once(url: str, name: str, act: str, count: int) -> float:
    queue = f"bench-{uuid.uuid4().hex[:8]}"
    module = f"contestants.{name if name in ('bare', 'warren') else f'{name}_'}"
    with tempfile.TemporaryDirectory() as folder:
        arguments = [url, queue, str(count)] + ([folder] if name in ("warren", "celery", "taskiq") else [])
        try:
            contest(module, "fill", *arguments)
            return count / contest(module, act, *arguments)["seconds"]
        finally:
            asyncio.run(bed.delete(url, *_queues(queue)))


def _queues(queue: str) -> list[str]:
    """All that a contestant may have declared for this queue."""
    from engine.model.topology import Route, delay_topology, handler_topology

    app = f"{queue}-app"
    ours = [
        each.name
        for topology in (handler_topology(app, [Route(queue, "events", ())]), delay_topology(app))
        for each in topology.queues
    ]
    theirs = [f"{queue}{end}" for end in (".DQ", ".XQ", "-out", "-out.DQ", "-out.XQ", ".out", ".dead_letter", ".delay")]
    return [*ours, *theirs]
