"""Redrives: at full rate against a bare loop, at a set rate, and how soon a cancel is felt."""

from __future__ import annotations

import statistics
import tempfile
import uuid

from benchmarks.suites.publishing import bare_rate
from benchmarks.table import against, contest, table

#: Messages a second that must be held, and how many of them.
RATE, HELD = 1000, 5000


def _run(url: str, act: str, *numbers: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        app = f"bench-{uuid.uuid4().hex[:8]}"
        return contest("contestants.redriving", act, url, app, folder, *map(str, numbers))


def redrive(url: str, runs: int, count: int) -> None:
    """Each failure is judged and sent in a transaction, on SQLite, and confirmed by a quorum queue."""
    bare: list[float] = []
    ours: list[float] = []
    for _ in range(runs):
        bare.append(bare_rate(url, count))
        print(f"  redrive bare         {bare[-1]:>8,.0f}/s", flush=True)
        found = _run(url, "full", count)
        if found["landed"] != count:
            raise SystemExit(f"redrive: {found['landed']:.0f} of {count} messages are in the queue")
        ours.append(count / found["seconds"])
        print(f"  redrive warren       {ours[-1]:>8,.0f}/s", flush=True)
    held = _run(url, "held", HELD, RATE)
    cancelled = _run(url, "cancel", 2 * count)
    rate, ratio = statistics.median(ours), statistics.median(ours) / statistics.median(bare)
    table(
        f"Redriving {count:,} failures on SQLite, confirmed, to a quorum queue, medians of {runs} turns",
        [
            ("bare loop", f"{statistics.median(bare):>8,.0f}/s"),
            ("redrive", against(rate, 5000) if rate >= 5000 or ratio < 0.9 else f"{rate:>8,.0f}/s"),
            ("redrive / bare", against(ratio, 0.9) if rate < 5000 else f"{ratio:.2f}"),
            (f"deviation from {RATE:,}/s, share", against(abs(held["rate"] / RATE - 1), 0.05, at_most=True)),
            ("cancel felt after, seconds", against(cancelled["seconds"], 1, at_most=True)),
            ("sent after a cancel", f"{cancelled['later']:.0f}"),
        ],
    )
