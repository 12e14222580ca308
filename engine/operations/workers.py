"""Workers as an operator sees them: who lives, and what each handler did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from engine.model.stats import HandlerStats, total
from engine.storage import workers
from engine.storage.database import Database
from engine.storage.liveness import Liveness
from engine.storage.workers import Stats, Worker

__all__ = (
    "SILENT_AFTER",
    "HandlerStats",
    "WorkerState",
    "as_dict",
    "counts_dict",
    "list_workers",
    "living",
    "states",
    "summed",
    "summed_up",
    "word",
)

#: Seconds without a report after which a worker that is not proven dead counts as silent.
SILENT_AFTER = 30.0

#: The words for a worker that does not work, beside those it says itself.
DEAD, SILENT, STOPPED = "dead", "silent", "stopped"


class WorkerState(NamedTuple):
    """A worker: `state` is its own word while it lives, else `stopped`, `dead` or `silent`. Times in seconds.

    `group` names the supervisor that started it, with `--processes`, else it is empty. `queues` are those it
    consumes, `handlers` what it counted of those that had something to count.
    """

    id: str
    host: str
    pid: int
    group: str
    version: str
    state: str
    alive: bool
    started: float
    beat: float
    queues: tuple[str, ...]
    handlers: list[Stats]


async def list_workers(database: Database, app: str) -> list[WorkerState]:
    """All workers of an application that the database remembers, the living first."""
    known = [worker for worker in await database.read(workers.list_workers) if worker.app == app]
    stats = await database.read(workers.list_stats)
    liveness = await Liveness.open(database, None)
    try:
        return states(known, stats, liveness.alive, time.time())
    finally:
        await liveness.close()


def states(
    known: Iterable[Worker], stats: Sequence[Stats], alive: Callable[[str], bool], now: float
) -> list[WorkerState]:
    """These workers as an operator sees them at `now`, the living first; `alive` unless proven dead."""
    found = [_state(worker, stats, alive(worker.id), now) for worker in known]
    return sorted(found, key=lambda state: not state.alive)


def _state(worker: Worker, stats: Sequence[Stats], proven: bool, now: float) -> WorkerState:
    state = word(worker.state, proven, now - worker.beat)
    return WorkerState(
        id=worker.id,
        host=str(worker.info.get("host", "")),
        pid=int(worker.info.get("pid", 0)),
        group=str(worker.info.get("group", "")),
        version=worker.version,
        state=state,
        alive=state not in (DEAD, SILENT, STOPPED),
        started=worker.started,
        beat=worker.beat,
        queues=tuple(sorted(worker.info.get("handlers", ()))),
        handlers=[one for one in stats if one.worker == worker.id],
    )


def word(said: str, proven: bool, silence: float) -> str:
    """The state of a worker that last said this, `silence` seconds ago; `proven` unless it is proven dead."""
    if said == STOPPED:
        return STOPPED
    if not proven:
        return DEAD
    return SILENT if silence > SILENT_AFTER else said


async def living(database: Database, app: str) -> list[str]:
    """The ids of the workers that live and report."""
    return [state.id for state in await list_workers(database, app) if state.alive]


def summed_up(state: WorkerState) -> HandlerStats:
    """What a worker counted over all its handlers."""
    return total(one.counts for one in state.handlers)


def summed(states: Sequence[WorkerState]) -> list[dict[str, Any]]:
    """The counters of each handler over all these workers, and how many of them have it: `workers`."""
    by_queue: dict[str, list[Stats]] = {}
    for state in states:
        for one in state.handlers:
            by_queue.setdefault(one.queue, []).append(one)
    return [
        {
            **counts_dict(queue, found[-1].handler, total(one.counts for one in found)),
            "workers": len(found),
        }
        for queue, found in sorted(by_queue.items())
    ]


def as_dict(state: WorkerState, now: float) -> dict[str, Any]:
    """A worker for programs: keys are stable, times in seconds."""
    return {
        **state._asdict(),
        "uptime_s": round((now if state.alive else state.beat) - state.started, 3),
        "handlers": [counts_dict(one.queue, one.handler, one.counts) for one in state.handlers],
    }


def counts_dict(queue: str, handler: str, counts: HandlerStats) -> dict[str, Any]:
    """The counters of one handler for programs; latencies in seconds."""
    return {
        "queue": queue,
        "handler": handler,
        "handled": counts.handled,
        "failed": counts.failed,
        "retried": counts.retried,
        "dead": counts.dead,
        "duplicates": counts.duplicates,
        "stale": counts.stale,
        "parked": counts.parked,
        "in_flight": counts.in_flight,
        **{f"p{part}_s": counts.latency.percentile(part / 100) for part in (50, 95, 99)},
    }
