"""The log of events and aggregates, beside the library `eventsourcing`, on SQLite."""

from __future__ import annotations

import statistics

from benchmarks.table import against, contest, table

#: Events of the stream that is loaded whole.
LOADED = 10_000
#: Sizes of the log, in events, between which the cost of a stream must not grow.
SMALL, LARGE = 10_000, 1_000_000


def _run(name: str, act: str, count: int) -> dict[str, float]:
    return contest("contestants.logs", name, act, str(count))


def events(_url: str, runs: int, count: int) -> None:
    """Appends of two events a commit with 50 writers, loads with and without a snapshot, and in a large log."""
    commits = max(1000, count // 5)
    rates: dict[tuple[str, str], list[float]] = {
        ("eventsourcing", "append"): [],
        ("warren", "append"): [],
        ("warren", "published"): [],
    }
    loads: dict[str, list[dict[str, float]]] = {"eventsourcing": [], "warren": []}
    in_log_of: dict[int, list[float]] = {SMALL: [], LARGE: []}
    for _ in range(runs):
        for (name, act), taken in rates.items():
            taken.append(commits / _run(name, act, commits)["seconds"])
            print(f"  events {act:<10} {name:<14} {taken[-1]:>8,.0f} commits/s", flush=True)
        for name, found in loads.items():
            found.append(_run(name, "load", LOADED))
            print(f"  events load       {name:<14} {1000 * found[-1]['seconds']:>8,.1f} ms", flush=True)
        for size, times in in_log_of.items():
            times.append(_run("warren", "grown", size)["milliseconds"])
            print(f"  events in a log of {size:<13,} {times[-1]:>8,.2f} ms", flush=True)
    grown = [statistics.median(times) for times in in_log_of.values()]
    rate = {key: statistics.median(taken) for key, taken in rates.items()}
    load = {name: statistics.median(each["seconds"] for each in found) for name, found in loads.items()}
    snapshot = 1000 * statistics.median(each["snapshot"] for each in loads["warren"])
    theirs, ours = rate["eventsourcing", "append"], rate["warren", "append"]
    table(
        f"The log on SQLite: two events a commit, 50 writers; {LOADED:,} events loaded; medians of {runs} turns",
        [
            ("eventsourcing, commits/s", f"{theirs:,.0f}"),
            ("warren, commits/s", f"{ours:,.0f}"),
            ("warren, published too", f"{rate['warren', 'published']:,.0f}"),
            ("warren / eventsourcing", against(ours / theirs, 2)),
            ("eventsourcing, load, ms", f"{1000 * load['eventsourcing']:,.1f}"),
            ("warren, load, ms", f"{1000 * load['warren']:,.1f}"),
            ("warren / eventsourcing", against(load["warren"] / load["eventsourcing"], 0.5, at_most=True)),
            ("with a snapshot, ms", against(snapshot, 1, at_most=True)),
            (f"load+append at {SMALL:,}, ms", f"{grown[0]:.2f}"),
            (f"load+append at {LARGE:,}, ms", f"{grown[1]:.2f}"),
            ("ratio", against(grown[1] / grown[0], 1.2, at_most=True)),
        ],
    )
