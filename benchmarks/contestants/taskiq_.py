"""Taskiq on aio-pika: one worker process, its natural settings, no result backend."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from taskiq_aio_pika import AioPikaBroker, Exchange, Queue

from benchmarks.contestants.stopwatch import Stopwatch, report, report_to, reported

PAYLOAD = {"order_id": "o-1", "customer": "alice", "total": "9.50", "quantity": 3, "padding": "x" * 150}


def make(url: str, queue: str) -> AioPikaBroker:
    """A broker whose exchange and queue are of this run alone."""
    broker = AioPikaBroker(url, exchange=Exchange(name=f"{queue}-x"))
    return broker.with_queue(Queue(name=queue))


broker = make(os.environ.get("BENCH_URL", "amqp://"), os.environ.get("BENCH_QUEUE", "q"))
watch = Stopwatch(int(os.environ.get("BENCH_COUNT", "1")))


async def handle(order: dict[str, Any]) -> None:
    watch.tick()
    if watch.done.is_set():
        report_to(Path(os.environ["BENCH_REPORT"]), seconds=watch.seconds)


task = broker.register_task(handle, task_name="bench.handle")


async def fill(url: str, queue: str, count: int) -> None:
    filler = make(url, queue)
    filling = filler.register_task(handle, task_name="bench.handle")
    await filler.startup()
    for _ in range(count):
        await filling.kiq(PAYLOAD)
    await filler.shutdown()


async def consume(url: str, queue: str, count: int, folder: str) -> None:
    path = Path(folder) / "taskiq.json"
    worker = subprocess.Popen(
        [
            *(sys.executable, "-m", "taskiq", "worker", "benchmarks.contestants.taskiq_:broker"),
            *("--workers", "1", "--log-level", "ERROR"),
        ],
        env={
            **os.environ,
            "BENCH_URL": url,
            "BENCH_QUEUE": queue,
            "BENCH_COUNT": str(count),
            "BENCH_REPORT": str(path),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        report(**await reported(path))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        asyncio.run(fill(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    else:
        asyncio.run(consume(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]))
