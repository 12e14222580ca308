"""Request and reply, against a bare aio-pika round trip."""

from __future__ import annotations

import asyncio
import statistics
import uuid

from benchmarks import bed
from benchmarks.table import against, contest, table

#: Round trips of which the median is taken, and requests in flight at once.
TRIPS = 1000
FLIGHT = 1000


def requests(url: str, runs: int, count: int) -> None:
    """The median of single round trips, and a thousand requests in flight together: none may be lost."""
    found: dict[str, list[dict[str, float]]] = {"bare": [], "warren": []}
    for _ in range(runs):
        for name, taken in found.items():
            taken.append(_once(url, name))
            one = taken[-1]
            print(
                f"  requests {name:<10} p50 {one['p50'] * 1000:6.2f} ms  p99 {one['p99'] * 1000:6.2f} ms"
                f"  {one['rate']:>7,.0f}/s with {FLIGHT:,} in flight, {one['lost']:.0f} lost",
                flush=True,
            )
    medians = {name: statistics.median(one["p50"] for one in taken) for name, taken in found.items()}
    rates = {name: statistics.median(one["rate"] for one in taken) for name, taken in found.items()}
    lost = sum(one["lost"] for one in found["warren"])
    table(
        f"Request and reply through a quorum queue, {TRIPS:,} round trips, medians of {runs} turns",
        [
            *((f"{name}, p50", f"{median * 1000:>8.2f} ms") for name, median in medians.items()),
            ("warren / bare, p50", against(medians["warren"] / medians["bare"], 3, at_most=True)),
            *((f"{name}, {FLIGHT:,} in flight", f"{rate:>8,.0f}/s") for name, rate in rates.items()),
            ("lost by warren", against(lost, 0, at_most=True)),
        ],
    )


def _once(url: str, name: str) -> dict[str, float]:
    queue = f"bench-{uuid.uuid4().hex[:8]}"
    try:
        return contest("contestants.requesting", name, url, queue, str(TRIPS), str(FLIGHT))
    finally:
        asyncio.run(bed.delete(url, queue))
