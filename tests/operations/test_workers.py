"""Who lives is proven, never read off a clock alone."""

from __future__ import annotations

import time

import pytest

from engine.model.stats import HandlerStats
from engine.operations.workers import as_dict, list_workers, living, word
from engine.storage import workers
from engine.storage.database import Database
from engine.storage.liveness import Liveness


async def register(database: Database, name: str, *, state: str = "running", app: str = "shop") -> None:
    now = time.time()
    row = workers.Worker(name, app, "1.0", state, now - 60, now, {"host": "web-1", "pid": 7})
    await database.write(lambda connection: workers.register(connection, row))


async def test_the_living_the_dead_and_the_stopped_are_told_apart(database: Database) -> None:
    for name, state in (("dead", "running"), ("stopped", "stopped"), ("alive", "draining")):
        await register(database, name, state=state)
    await register(database, "other", app="bakery")
    liveness = await Liveness.open(database, "alive")
    try:
        found = {state.id: (state.state, state.alive) for state in await list_workers(database, "shop")}
        assert await living(database, "shop") == ["alive"]
    finally:
        await liveness.close()
    assert found == {"alive": ("draining", True), "dead": ("dead", False), "stopped": ("stopped", False)}
    assert next(iter(found)) == "alive"


@pytest.mark.parametrize(
    ("said", "proven", "silence", "expected"),
    [
        ("running", True, 1.0, "running"),
        ("running", True, 60.0, "silent"),
        ("running", False, 1.0, "dead"),
        ("stopped", False, 60.0, "stopped"),
    ],
)
def test_the_word_for_a_worker(said: str, proven: bool, silence: float, expected: str) -> None:
    assert word(said, proven, silence) == expected


async def test_counters_are_told_for_each_handler(database: Database) -> None:
    await register(database, "w")
    counts = HandlerStats(handled=3, failed=1, retried=1, duplicates=2, in_flight=1)
    for _ in range(3):
        counts.latency.add(0.01)
    row = workers.Stats("w", "shop.orders.charge", "charge", time.time(), counts)
    await database.write(lambda connection: workers.save_stats(connection, [row]))

    [state] = await list_workers(database, "shop")
    found = as_dict(state, time.time())
    assert (found["host"], found["pid"]) == ("web-1", 7)
    [handler] = found["handlers"]
    assert (handler["handled"], handler["failed"], handler["duplicates"], handler["in_flight"]) == (3, 1, 2, 1)
    assert handler["p50_s"] == pytest.approx(0.01, rel=0.3)
