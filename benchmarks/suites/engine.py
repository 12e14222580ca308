"""The engine by itself: embedded, sessions, retries, latency, memory, many queues."""

from __future__ import annotations

import statistics
import tempfile
import uuid
from pathlib import Path

from benchmarks.table import against, contest, table


def _run(url: str, act: str, *arguments: object) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        app = f"bench-{uuid.uuid4().hex[:8]}"
        return contest("contestants.shapes", act, url, app, folder, *map(str, arguments))


def embedded(url: str, runs: int, count: int) -> None:
    """Consuming from the embedded broker, end to end in one process."""
    rates = [count / _run("embedded", "consume", count)["seconds"] for _ in range(runs)]
    table(
        "Embedded broker and SQLite, end to end in one process", [("events/s", against(statistics.median(rates), 3000))]
    )


def sessions(url: str, runs: int, count: int) -> None:
    """Handlers that write through their session, each in its own transaction."""
    rates, bare = (
        [2000 / _run(url, act, 2000)["seconds"] for _ in range(runs)] for act in ("sessions", "sessions_bare")
    )
    table(
        "Session handlers on SQLite (synchronous=FULL)",
        [
            ("bare commits/s on this disk", f"{statistics.median(bare):,.0f}"),
            ("messages/s", against(statistics.median(rates), 800)),
        ],
    )


def fleet(url: str, runs: int, count: int) -> None:
    """Session handlers on a private PostgreSQL, one at a time and many at once."""
    from tests.support.postgres import PostgresServer, fresh_database

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = PostgresServer(Path(folder))
        server.start()
        try:
            rates: dict[int, float] = {}
            for lanes in (1, 4, 16):
                with fresh_database(server.url) as database:
                    rates[lanes] = 2000 / _run(url, "sessions", 2000, database, lanes)["seconds"]
                rows.append((f"{lanes} at once, messages/s", f"{rates[lanes]:,.0f}"))
        finally:
            server.stop()
    rows.append(("16 at once / one at a time", against(rates[16] / rates[1], 1.5)))
    table("Session handlers on PostgreSQL", rows)


def rungs(url: str, runs: int, count: int) -> None:
    """10,000 messages fail once and come back after a second."""
    found = _run(url, "rungs", 10_000)
    rate = 10_000 / max(found["seconds"] - 1.0, 0.001)
    table(
        "10,000 failing messages with a delay of 1 s",
        [("through the rungs, messages/s", against(rate, 2000)), ("lost", f"{found['lost']:.0f}")],
    )


def latency(url: str, runs: int, count: int) -> None:
    """From publish to handled at 300 events a second, against a bare publish-consume-ack loop."""
    bare = [_run(url, "latency_bare", 1500) for _ in range(runs)]
    ours = [_run(url, "latency", 1500) for _ in range(runs)]
    p50, p99 = (
        statistics.median(one[name] for one in ours) / statistics.median(one[name] for one in bare)
        for name in ("p50", "p99")
    )
    table(
        "Latency at 300 events a second",
        [
            (
                "bare p50, p99 (ms)",
                "  ".join(f"{statistics.median(one[n] for one in bare) * 1000:.2f}" for n in ("p50", "p99")),
            ),
            (
                "warren p50, p99 (ms)",
                "  ".join(f"{statistics.median(one[n] for one in ours) * 1000:.2f}" for n in ("p50", "p99")),
            ),
            ("p50 warren / bare", against(p50, 3, at_most=True)),
            ("p99 warren / bare", against(p99, 5, at_most=True)),
        ],
    )


def memory(url: str, runs: int, count: int) -> None:
    """Resident memory after 500,000 messages against that after 50,000."""
    found = _run(url, "memory", 50_000, 500_000)
    table("Memory, MiB", [("growth from 50,000 to 500,000", against(found["growth"], 10, at_most=True))])


def queues(url: str, runs: int, count: int) -> None:
    """A worker with 1,000 handlers starts."""
    bare, found = _run(url, "queues_bare", 1000), _run(url, "queues", 1000)
    table(
        "1,000 handlers in one worker, with 2,000 quorum queues; seconds",
        [
            ("a bare loop makes the queues in", f"{bare['seconds']:.2f}"),
            ("ready, queues made", against(found["seconds"], 10, at_most=True)),
            ("ready, queues there", against(found["again"], 10, at_most=True)),
        ],
    )
