"""A RabbitMQ node in distress, or with a limit that our handlers meet: the worker goes on by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.load import PLUGIN, at_rest, publish
from tests.support.homes import settled
from tests.support.rabbit import RabbitNode
from tests.support.services import RABBITMQ
from tests.support.workers import Fleet

pytestmark = [pytest.mark.faults, pytest.mark.slow]


async def test_a_memory_alarm_blocks_publishing_and_nothing_is_lost(node_fleet: Fleet, rabbit_node: RabbitNode) -> None:
    fleet = node_fleet
    await fleet.make_effects()
    (fleet.folder / "closed").touch()
    worker = await fleet.start(fleet.plugin(PLUGIN))
    confirmed = await publish(fleet, range(200))
    await worker.until("waits at the gate")
    await asyncio.to_thread(rabbit_node.control, "set_vm_memory_high_watermark", "0.00001")
    fleet.tally.fault()
    (fleet.folder / "closed").unlink()
    # Handling, commits and acks go on: they are on another connection than publishing.
    await fleet.until(lambda: len(fleet.effects("booked")) >= 150, "most steps to be booked under the alarm")
    assert len(fleet.effects("followed")) == 0
    await asyncio.to_thread(rabbit_node.control, "set_vm_memory_high_watermark", "0.6")
    await at_rest(fleet, confirmed)


async def test_the_consumer_time_out_of_the_broker(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> None:
    """Handlers hold their messages longer than the broker allows: it takes them back, each has one effect."""
    RABBITMQ.require(private=True)
    node = RabbitNode(tmp_path / "rabbitmq", settings="consumer_timeout = 3000")
    # How often a channel looks at that can be said in this file alone; a minute unless said.
    (tmp_path / "rabbitmq" / "advanced.config").write_text("[{rabbit, [{channel_tick_interval, 1000}]}].\n")
    node.start()
    try:
        async with settled(request, Fleet(tmp_path, node.url, app)) as fleet:
            await fleet.make_effects()
            (fleet.folder / "closed").touch()
            worker = await fleet.start(fleet.plugin(PLUGIN))
            confirmed = await publish(fleet, range(100))
            await worker.until(f"queue {app}.plugin.book is lost", times=2)
            fleet.tally.fault(2)
            (fleet.folder / "closed").unlink()
            await at_rest(fleet, confirmed)
            assert "the broker is lost" not in worker.said()
            assert "plugin.look is lost" not in worker.said()
    finally:
        node.kill()


async def test_a_node_killed_several_times_under_load(node_fleet: Fleet, rabbit_node: RabbitNode) -> None:
    fleet, times = node_fleet, 3
    await fleet.make_effects()
    await asyncio.gather(*(fleet.start(fleet.plugin(PLUGIN)) for _ in range(2)))
    await asyncio.to_thread(rabbit_node.settle)
    confirmed: set[int] = set()
    for turn in range(times):
        numbers = range(turn * 200, turn * 200 + 200)
        publishing = asyncio.create_task(publish(fleet, numbers, pause=0.05))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(rabbit_node.kill)
        fleet.tally.fault()
        await asyncio.to_thread(rabbit_node.start)
        confirmed |= await publishing
    await at_rest(fleet, confirmed, perhaps=range(times * 200), patience=90)
