"""Celery: one prefork worker process, its natural settings (it acks before it runs), no result backend."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from celery import Celery

from benchmarks.contestants.stopwatch import Stopwatch, report, report_to, reported

PAYLOAD = {"order_id": "o-1", "customer": "alice", "total": "9.50", "quantity": 3, "padding": "x" * 150}

url, queue, count = (
    os.environ.get("BENCH_URL", ""),
    os.environ.get("BENCH_QUEUE", "q"),
    int(os.environ.get("BENCH_COUNT", "1")),
)
app = Celery("bench", broker=url)
app.conf.task_default_queue = queue
app.conf.task_ignore_result = True
watch = Stopwatch(count)


@app.task(name="bench.seen")
def seen(order: dict[str, Any]) -> None:
    """What is emitted goes to a queue that nobody consumes here."""


@app.task(name="bench.handle")
def handle(order: dict[str, Any]) -> None:
    if os.environ.get("BENCH_EMITS"):
        seen.apply_async((order,), queue=f"{queue}-out")
    watch.tick()
    if watch.done.is_set():
        report_to(Path(os.environ["BENCH_REPORT"]), seconds=watch.seconds)


async def consume(folder: str, emits: bool) -> None:
    path = Path(folder) / "celery.json"
    worker = subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "-A", "benchmarks.contestants.celery_:app", "worker"),
            *("--concurrency", "1", "--queues", queue, "--loglevel", "ERROR", "--without-gossip", "--without-mingle"),
        ],
        env={**os.environ, "BENCH_REPORT": str(path), "BENCH_EMITS": "1" if emits else ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        report(**await reported(path))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    os.environ.update(BENCH_URL=sys.argv[2], BENCH_QUEUE=sys.argv[3], BENCH_COUNT=sys.argv[4])
    app.conf.broker_url, queue = sys.argv[2], sys.argv[3]
    app.conf.task_default_queue = queue
    if sys.argv[1] == "fill":
        for _ in range(int(sys.argv[4])):
            handle.delay(PAYLOAD)
    else:
        asyncio.run(consume(sys.argv[5], sys.argv[1] == "emit"))
