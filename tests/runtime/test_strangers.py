"""A queue that is consumed against another database."""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path

import pytest

from engine.brokers.embedded import EmbeddedBroker
from engine.model.topology import Queue, Topology
from engine.runtime.strangers import Strangers
from engine.storage import workers
from engine.storage.database import Database


async def test_more_consumers_than_workers_are_said_once_and_only_when_seen_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/warren.db", migrate=True)
    broker = EmbeddedBroker(tmp_path / "broker.db", app="shop", durable=False)
    await broker.connect()
    await broker.declare(Topology(queues=(Queue("a"), Queue("b"))))
    for name, queues in (("w-1", "ab"), ("dead", "ab")):
        info = {"handlers": dict.fromkeys(queues, "charge")}
        row = workers.Worker(name, "shop", "1", "running", time.time(), time.time(), info)
        await database.write(partial(workers.register, worker=row))
    subscriptions = [
        await broker.consume(queue, prefetch=1, receive=lambda delivery: None) for queue in ("a", "a", "b")
    ]
    strangers = Strangers(broker, database, "shop", lambda worker: worker == "w-1", ["a", "b"])
    caplog.set_level(logging.WARNING)

    await strangers.look()
    assert caplog.messages == []  # a worker that was killed may have its consumer for a while yet
    await strangers.look()
    await strangers.look()
    [said] = caplog.messages
    assert said.startswith("a has more consumers than this database has workers")

    await subscriptions[0].close()
    await strangers.look()
    subscriptions.append(await broker.consume("a", prefetch=1, receive=lambda delivery: None))
    await strangers.look()
    await strangers.look()
    assert len(caplog.messages) == 2
    await broker.close()
    await database.close()
