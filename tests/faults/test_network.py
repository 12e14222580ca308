"""The network between workers and RabbitMQ breaks: noticed in time, nothing lost, each effect once."""

from __future__ import annotations

import asyncio
import time

import pytest

from engine.testing.proxy import Proxy
from tests.faults.load import PLUGIN, STEPS, at_rest, publish
from tests.support.workers import Fleet

pytestmark = [pytest.mark.faults, pytest.mark.slow]

#: Seconds in which a silent network must be noticed.
NOTICED = 15.0


async def test_connections_that_are_closed_again_and_again(behind: Fleet, proxy: Proxy, amqp_url: str) -> None:
    plugin = behind.plugin(PLUGIN)
    await behind.make_effects()
    worker = await behind.start(plugin)
    publishing = asyncio.create_task(publish(behind, range(400), broker=amqp_url, pause=0.2))
    while not publishing.done():
        await asyncio.sleep(0.6)
        behind.tally.fault(proxy.close_all())
    await at_rest(behind, await publishing)
    assert worker.said().count("the broker is back") >= 3


async def test_a_black_hole_is_noticed_and_outlived(behind: Fleet, proxy: Proxy, amqp_url: str) -> None:
    plugin = behind.plugin(PLUGIN)
    await behind.make_effects()
    worker = await behind.start(plugin)
    publishing = asyncio.create_task(publish(behind, range(400), broker=amqp_url, pause=0.1))
    await behind.until(lambda: len(behind.effects("booked")) > 50, "the worker to be in the midst of it")
    began = time.monotonic()
    proxy.black_hole()
    behind.tally.fault()
    await worker.until("the broker is lost", NOTICED)
    assert time.monotonic() - began < NOTICED
    confirmed = await publishing
    proxy.pass_on()
    await worker.until("the broker is back")
    await at_rest(behind, confirmed)


async def test_a_network_that_stalls_for_seconds_costs_nothing(behind: Fleet, proxy: Proxy, amqp_url: str) -> None:
    plugin = behind.plugin(PLUGIN)
    await behind.make_effects()
    worker = await behind.start(plugin)
    publishing = asyncio.create_task(publish(behind, range(300), broker=amqp_url, pause=0.1))
    for _ in range(3):
        proxy.hold()
        behind.tally.fault()
        await asyncio.sleep(1.5)
        proxy.pass_on()
        await asyncio.sleep(0.3)
    await at_rest(behind, await publishing)
    assert "the broker is lost" not in worker.said()


async def test_lost_confirms_are_no_second_effects(behind: Fleet, proxy: Proxy, amqp_url: str) -> None:
    """What the worker relays arrives, but the confirms never come back: it relays the same again."""
    plugin = behind.plugin(PLUGIN)
    await behind.make_effects()
    worker = await behind.start(plugin)
    confirmed = await publish(behind, range(100), broker=amqp_url)
    await behind.until(lambda: len(behind.effects("booked")) > 20, "the worker to be in the midst of it")
    proxy.deafen()
    behind.tally.fault()
    await worker.until("the broker is lost", NOTICED + 5)
    proxy.pass_on()
    await at_rest(behind, confirmed)


async def test_acks_that_are_lost_after_the_commit(behind: Fleet, proxy: Proxy, amqp_url: str) -> None:
    """What the worker says gets lost while it hears and commits: the broker delivers all of it again."""
    plugin = behind.plugin(PLUGIN)
    await behind.make_effects()
    gate = behind.folder / "closed"
    gate.touch()
    worker = await behind.start(plugin)
    confirmed = await publish(behind, range(60), broker=amqp_url)
    await worker.until("waits at the gate")
    proxy.mute()
    behind.tally.fault()
    gate.unlink()
    await behind.until(lambda: len(behind.effects("booked")) >= 16, "commits whose acks are lost")
    await worker.until("the broker is lost", NOTICED + 5)
    proxy.pass_on()
    await at_rest(behind, confirmed)
    assert behind.query("SELECT sum(duplicates) FROM warren_stats")[0][0] >= 16


async def test_two_workers_whose_network_breaks_by_turns(behind: Fleet, proxy: Proxy, amqp_url: str) -> None:
    """One is cut off in the midst of its work; the other gets its messages, and neither does them twice."""
    plugin = behind.plugin(PLUGIN)
    await behind.make_effects()
    cut, _ = await behind.start(plugin), await behind.start(plugin, WARREN_BROKER=amqp_url)
    publishing = asyncio.create_task(publish(behind, range(300), broker=amqp_url, pause=0.1))
    for _ in range(3):
        await asyncio.sleep(0.5)
        await proxy.refuse()
        behind.tally.fault()
        await asyncio.sleep(1.0)
        await proxy.start()
    await at_rest(behind, await publishing)
    assert "the broker is back" in cut.said()
    assert all(behind.effects(step) for step in STEPS)
