"""Pauses by an operator, and the circuit of a handler that only fails, in real worker processes."""

from __future__ import annotations

import asyncio
import time

from engine.operations import pausing
from engine.operations.operator import Operator
from engine.runtime.application import Engine
from engine.storage.database import Database
from tests.runtime.events import Step
from tests.support.workers import Fleet

PLUGIN = """
import asyncio
from pathlib import Path
from engine import Event, EventData, RetryPolicy, handler
from engine.model import circuit
from engine.runtime import flow

circuit.FIRST_PROBE, flow.LOOK_INTERVAL = 0.75, 0.25  # in place of 5 and 1: the tests need not wait so long

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

@handler(Step, concurrency=2, retry=RetryPolicy(max_attempts=50, initial=0.3, multiplier=1, jitter=False))
async def work(event: Event[Step]) -> None:
    with Path("runs.txt").open("a") as file:
        file.write(f"{event.data.number}\\n")
    await asyncio.sleep(0.05)
    if Path("down").exists():
        raise ConnectionError("the provider is away")
"""


def states(fleet: Fleet) -> dict[str, int]:
    return dict(fleet.query("SELECT state, count(*) FROM warren_records GROUP BY state"))


def runs(fleet: Fleet) -> int:
    path = fleet.folder / "runs.txt"
    return len(path.read_text().split()) if path.exists() else 0


async def test_a_paused_queue_is_left_alone_by_all_workers_across_restarts(fleet: Fleet) -> None:
    plugin, queue, count = fleet.plugin(PLUGIN), f"{fleet.app}.plugin.work", 200
    await fleet.make_effects()
    await fleet.start(plugin)
    await fleet.start(plugin)
    database = await Database.open(fleet.database)
    async with Engine(fleet.settings()) as engine:
        await engine.publish_many([Step(number=number) for number in range(count)])
        await fleet.until(lambda: states(fleet).get("done", 0) > 10, "the workers to be at work")
        assert await pausing.pause(database, [queue], operator=Operator("anna@test"), why="the provider is away") == [
            queue
        ]
        assert await pausing.pause(database, [queue], operator=Operator("bert@test"), why="") == []
        for worker in fleet.workers:
            await worker.until("is paused by anna@test: the provider is away")
        # All that was only held is back in the queue, and what ran has ended.
        await fleet.until(lambda: "running" not in states(fleet), "what runs to end")
        done = states(fleet)["done"]
        assert done < count
        async with asyncio.timeout(20):
            while (depth := (await engine.broker.depths([queue]))[queue]) is None or depth != (count - done, 0):
                await asyncio.sleep(0.1)
        assert runs(fleet) == done

        assert await fleet.workers[0].terminate() == 0
        third = await fleet.start(plugin)
        await third.until("is paused by anna@test")
        depth = (await engine.broker.depths([queue]))[queue]
        assert depth is not None
        assert depth.consumers == 0
        assert runs(fleet) == done

        begun = time.monotonic()
        assert await pausing.resume(database, [queue], operator=Operator("anna@test"), why="") == [queue]
        await fleet.until(lambda: runs(fleet) > done, "the queue to be consumed again")
        assert time.monotonic() - begun < 4
        await fleet.until(lambda: states(fleet) == {"done": count}, "all to be handled")
    await database.close()
    # Nothing was run twice, and no attempt was burnt by the pause.
    assert runs(fleet) == count
    assert fleet.query("SELECT max(attempts) FROM warren_records") == [(1,)]
    acts = [(who, action) for who, action in fleet.query("SELECT who, action FROM warren_audit ORDER BY id")]
    assert acts == [("anna@test", "pause"), ("anna@test", "resume")]
    for worker in fleet.workers[1:]:
        assert await worker.terminate() == 0


async def test_a_handler_that_only_fails_is_left_alone_and_probed(fleet: Fleet) -> None:
    plugin, queue, count = fleet.plugin(PLUGIN), f"{fleet.app}.plugin.work", 100
    await fleet.make_effects()
    (fleet.folder / "down").touch()
    first, second = await fleet.start(plugin), await fleet.start(plugin)
    async with Engine(fleet.settings()) as engine:
        await engine.publish_many([Step(number=number) for number in range(count)])
        await fleet.until(lambda: circuit(fleet) != [], "the circuit to open")
        await fleet.until(lambda: "running" not in states(fleet), "what runs to end")
        await asyncio.gather(first.until("left alone"), second.until("left alone"))
        # Without the circuit each message would be run about three times a second.
        burnt, probes = runs(fleet), circuit(fleet)[0][1]
        assert burnt >= 20
        await fleet.until(lambda: circuit(fleet)[0][1] > probes, "a probe to fail")
        assert runs(fleet) <= burnt + 1 + circuit(fleet)[0][1] - probes
        (fleet.folder / "down").unlink()
        await fleet.until(lambda: circuit(fleet) == [], "the next probe to close the circuit")
        await fleet.until(lambda: states(fleet) == {"done": count}, "all to be handled")
        depth = (await engine.broker.depths([queue]))[queue]
        assert depth is not None
        assert depth.consumers == 2
    said = first.said() + second.said()
    assert said.count("in a row with ConnectionError") in (1, 2)
    assert said.count("the queue is consumed again") == 2
    assert burnt + 1 + count <= runs(fleet) <= burnt + 3 + count
    for worker in fleet.workers:
        assert await worker.terminate() == 0


async def test_a_circuit_outlives_its_worker_and_an_operator_closes_it(fleet: Fleet) -> None:
    plugin, queue, count = fleet.plugin(PLUGIN), f"{fleet.app}.plugin.work", 40
    await fleet.make_effects()
    (fleet.folder / "down").touch()
    first = await fleet.start(plugin)
    async with Engine(fleet.settings()) as engine:
        await engine.publish_many([Step(number=number) for number in range(count)])
        await fleet.until(lambda: circuit(fleet) != [], "the circuit to open")
        await fleet.until(lambda: "running" not in states(fleet), "what runs to end")
        await first.kill()
        second = await fleet.start(plugin)
        await second.until("left alone, since its handler only fails (ConnectionError)")
        database = await Database.open(fleet.database)
        (fleet.folder / "down").unlink()
        assert await pausing.resume(database, [queue], operator=Operator("anna@test"), why="") == [queue]
        await database.close()
        await fleet.until(lambda: states(fleet) == {"done": count}, "all to be handled")
    assert await second.terminate() == 0


def circuit(fleet: Fleet) -> list[tuple[str, int]]:
    return fleet.query("SELECT exception, probes FROM warren_circuits")
