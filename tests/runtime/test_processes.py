"""`warren worker --processes`: what is started again, what is not, and how all of it ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from pathlib import Path

import pytest

from engine.runtime.application import Engine
from tests.runtime.events import Step
from tests.support.workers import PATIENCE, Fleet, WorkerProcess

PLUGIN = """
import asyncio
from engine import Event, EventData, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

@handler(Step)
async def nap(event: Event[Step]) -> None:
    await asyncio.sleep(0.01)
"""

STUCK = """
import time
from engine import Event, EventData, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

@handler(Step)
async def hang(event: Event[Step]) -> None:
    print("hanging", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
async def tables(fleet: Fleet) -> None:
    """Also where workers do not migrate by themselves."""
    await fleet.make_effects()


async def ready(supervisor: WorkerProcess, count: int) -> list[int]:
    """Wait until so many worker processes have become ready; their process ids, in that order."""
    async with asyncio.timeout(PATIENCE):
        while len(found := re.findall(r"worker \S+?:(\d+):\w+ is ready", supervisor.said())) < count:
            assert supervisor.process.poll() is None, supervisor.said()
            await asyncio.sleep(0.05)
    return [int(pid) for pid in found]


async def gone(pids: list[int]) -> None:
    async with asyncio.timeout(PATIENCE):
        while any(runs(pid) for pid in pids):
            await asyncio.sleep(0.05)


def runs(pid: int) -> bool:
    """Whether the process lives; one that has ended and that nobody has asked for yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


async def test_one_drain_for_all_and_the_counters_of_each(fleet: Fleet) -> None:
    count = 300
    supervisor = await fleet.start(fleet.plugin(PLUGIN), "--processes", "3")
    pids = await ready(supervisor, 3)
    async with Engine(fleet.settings()) as engine:
        await engine.publish_many([Step(number=number) for number in range(count)])
        await fleet.until(lambda: done(fleet) > 30, "the workers to be at work")
        assert await supervisor.terminate() == 0, supervisor.said()
        assert supervisor.said().count("is drained") == 3
        assert not any(runs(pid) for pid in pids)
        left = (await engine.broker.depths([f"{fleet.app}.plugin.nap"]))[f"{fleet.app}.plugin.nap"]
        assert left is not None
        # Nothing was given back half done: each message is done or still in its queue.
        assert fleet.query("SELECT count(*) FROM warren_records WHERE state <> 'done'") == [(0,)]
        assert left.ready + done(fleet) == count
    assert fleet.query("SELECT sum(handled) FROM warren_stats") == [(done(fleet),)]
    groups = {info for (info,) in fleet.query("SELECT info FROM warren_workers")}
    assert len(groups) == 3
    assert all(f':{supervisor.process.pid}"' in info for info in groups)


async def test_a_crashed_process_is_started_again_and_said(fleet: Fleet) -> None:
    supervisor = await fleet.start(fleet.plugin(PLUGIN), "--processes", "2")
    pids = await ready(supervisor, 2)
    os.kill(pids[0], signal.SIGKILL)
    again = await ready(supervisor, 3)
    assert f"(pid {pids[0]}) was killed by SIGKILL" in supervisor.said()
    assert "it is started again in" in supervisor.said()
    assert runs(pids[1])
    async with Engine(fleet.settings()) as engine:
        await engine.publish(Step(number=1))
    await fleet.until(lambda: done(fleet) == 1, "the message to be handled")
    assert await supervisor.terminate() == 0, supervisor.said()
    await gone(again)


async def test_when_the_supervisor_is_killed_the_workers_end(fleet: Fleet) -> None:
    supervisor = await fleet.start(fleet.plugin(PLUGIN), "--processes", "2")
    pids = await ready(supervisor, 2)
    await supervisor.kill()
    await gone(pids)
    assert supervisor.said().count("the supervisor is gone") == 2
    assert supervisor.said().count("is drained") == 2


async def test_a_second_signal_ends_a_worker_that_cannot_drain(fleet: Fleet) -> None:
    supervisor = await fleet.start(
        fleet.plugin(STUCK.replace("time.sleep(600)", "import asyncio; await asyncio.sleep(600)")), "--processes", "1"
    )
    pids = await ready(supervisor, 1)
    async with Engine(fleet.settings()) as engine:
        await engine.publish(Step(number=1))
    await supervisor.until("hanging")
    supervisor.process.send_signal(signal.SIGINT)
    await supervisor.until("drains: 1 messages in hand")
    supervisor.process.send_signal(signal.SIGINT)
    assert await supervisor.ended() == 130
    await gone(pids)


async def test_what_no_worker_can_start_with_is_said_once(fleet: Fleet) -> None:
    began = time.monotonic()
    supervisor = await fleet.start(fleet.plugin("import nowhere\n"), "--processes", "3", ready=False)
    assert await supervisor.ended() == 2
    assert supervisor.said().count("No module named 'nowhere'") == supervisor.said().count("error:") == 1
    assert "started again" not in supervisor.said()
    assert time.monotonic() - began < PATIENCE / 2


async def test_a_wrong_setting_starts_nothing(fleet: Fleet) -> None:
    plugin = fleet.plugin(PLUGIN)
    supervisor = await fleet.start(plugin, "--processes", "2", "--broker", "carrier://pigeon", ready=False)
    assert await supervisor.ended() == 2
    assert supervisor.said().count("error:") == 1


def done(fleet: Fleet) -> int:
    return int(fleet.query("SELECT count(*) FROM warren_records WHERE state = 'done'")[0][0])
