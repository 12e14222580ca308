"""Dramatiq: one worker process with its eight threads, no result backend, no idempotency."""

from __future__ import annotations

import sys
import time
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.contestants.stopwatch import Stopwatch, report

PAYLOAD = {"order_id": "o-1", "customer": "alice", "total": "9.50", "quantity": 3, "padding": "x" * 150}


def actor(url: str, queue: str, watch: Stopwatch | None, emits: bool = False) -> tuple[Any, Any]:
    broker = RabbitmqBroker(url=url, confirm_delivery=True)
    dramatiq.set_broker(broker)

    def seen(order: dict[str, Any]) -> None:
        """What is emitted goes to a queue that nobody consumes here."""

    out = dramatiq.actor(seen, queue_name=f"{queue}-out", broker=broker)

    def handle(order: dict[str, Any]) -> None:
        if emits:
            out.send(order)
        if watch is not None:
            watch.tick()

    return broker, dramatiq.actor(handle, queue_name=queue, broker=broker)


def fill(url: str, queue: str, count: int) -> None:
    broker, handle = actor(url, queue, None)
    for _ in range(count):
        handle.send(PAYLOAD)
    broker.close()


def consume(url: str, queue: str, count: int, emits: bool = False) -> None:
    watch = Stopwatch(count)
    broker, _ = actor(url, queue, watch, emits)
    worker = dramatiq.Worker(broker, queues={queue}, worker_threads=8)
    worker.start()
    while not watch.done.is_set():
        time.sleep(0.005)
    report(seconds=watch.seconds)
    worker.stop()
    broker.close()


def emit(url: str, queue: str, count: int) -> None:
    consume(url, queue, count, emits=True)


if __name__ == "__main__":
    {"fill": fill, "consume": consume, "emit": emit}[sys.argv[1]](sys.argv[2], sys.argv[3], int(sys.argv[4]))
