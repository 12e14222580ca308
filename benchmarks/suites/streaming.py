"""The journal's stream: read through the port beside a raw loop of aio-pika, and replayed to a handler."""

from __future__ import annotations

import statistics
import tempfile
import uuid

from benchmarks.table import contest, table


def _run(url: str, act: str, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        return contest("contestants.streaming", act, url, f"bench-{uuid.uuid4().hex[:8]}", folder, str(count))


def streaming(url: str, runs: int, count: int) -> None:
    """On RabbitMQ and on the embedded broker, in turns."""
    raw: list[float] = []
    ours: list[float] = []
    events: list[float] = []
    kept: list[float] = []
    for _ in range(runs):
        raw.append(count / _run(url, "raw", count)["seconds"])
        found = _run(url, "read", count)
        ours.append(count / found["seconds"])
        events.append(count / found["events"])
        kept.append(count / _run("embedded", "read", count)["seconds"])
    replays = {home: _run(where, "replay", count) for home, where in (("RabbitMQ", url), ("embedded", "embedded"))}
    rate = statistics.median(raw)
    table(
        f"A stream of {count:,} events of 330 bytes, medians of {runs} turns",
        [
            ("raw aio-pika loop", f"{rate:>8,.0f}/s"),
            ("through the port", f"{statistics.median(ours):>8,.0f}/s  ({statistics.median(ours) / rate:.2f} of raw)"),
            ("read as events", f"{statistics.median(events):>8,.0f}/s"),
            ("through the port, embedded", f"{statistics.median(kept):>8,.0f}/s"),
            *(
                (f"{what} on {home}", f"{count / found[name]:>8,.0f}/s")
                for home, found in replays.items()
                for what, name in (("planned", "planning"), ("replayed, handled, verified", "seconds"))
            ),
        ],
    )
