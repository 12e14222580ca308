"""Run the benchmarks and print the table: `make bench`, or `python -m benchmarks [--runs N] [NAME …]`.

Contestants run in turns (A B C, A B C, …), each in a process of its own, on one private
RabbitMQ node or on WARREN_TEST_AMQP_URL. What counts is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.suites import (
    engine,
    events,
    failures,
    monitor,
    peers,
    projections,
    publishing,
    redriving,
    requests,
    starting,
    streaming,
)

BENCHMARKS: dict[str, Callable[[str, int, int], None]] = {
    "consume": peers.consume,
    "emit": peers.emit,
    "metrics": peers.metrics,
    "publish": publishing.publish,
    "requests": requests.requests,
    "redrive": redriving.redrive,
    "failures": failures.failing,
    "monitor": monitor.monitor,
    "events": events.events,
    "projections": projections.projecting,
    "streaming": streaming.streaming,
    "embedded": engine.embedded,
    "sessions": engine.sessions,
    "fleet": engine.fleet,
    "rungs": engine.rungs,
    "latency": engine.latency,
    "memory": engine.memory,
    "queues": engine.queues,
    "startup": starting.startup,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"any of {', '.join(BENCHMARKS)}")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--count", type=int, default=20_000)
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    chosen = options.names or list(BENCHMARKS)
    url = os.environ.get("WARREN_TEST_AMQP_URL")
    if url:
        _run(chosen, url, options)
        return
    from tests.support.rabbit import RabbitNode

    with tempfile.TemporaryDirectory() as folder:
        node = RabbitNode(Path(folder))
        try:
            node.start()
            _run(chosen, node.url, options)
        finally:
            node.stop()


def _run(names: list[str], url: str, options: argparse.Namespace) -> None:
    for name in names:
        BENCHMARKS[name](url, options.runs, options.count)


if __name__ == "__main__":
    main()
