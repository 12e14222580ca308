"""The order of keys while the network between workers and RabbitMQ breaks again and again."""

from __future__ import annotations

import asyncio

import pytest

from engine.runtime.application import Engine
from engine.testing.proxy import Proxy
from tests.runtime.ordering import Mark, make_marks
from tests.runtime.test_partitions import HANDLER, all_came, batch
from tests.support.workers import Fleet

pytestmark = [pytest.mark.faults, pytest.mark.slow]


@pytest.mark.timeout(400)
async def test_connections_that_are_lost_again_and_again(behind: Fleet, proxy: Proxy, amqp_url: str) -> None:
    """A worker that lost its queue still runs what it has in hand, while the other one gets it again."""
    await make_marks(behind)
    plugin = behind.plugin(HANDLER)
    # One is behind the proxy, the other is not: each loss moves all partitions, and some of them back.
    await behind.start(plugin)
    await behind.start(plugin, WARREN_BROKER=amqp_url)
    published: list[Mark] = []
    async with Engine(behind.settings(broker=amqp_url)) as engine:
        for number in range(20):
            marked = batch(75, 24, number * 75)
            await engine.publish_many(marked)
            published += marked
            await asyncio.sleep(0.5)
            if number % 3 == 2:
                behind.tally.fault(proxy.close_all())
    await all_came(behind, published, 240)
    assert behind.query("SELECT count(DISTINCT worker) FROM warren_records") == [(2,)]
