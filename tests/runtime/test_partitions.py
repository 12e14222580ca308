"""`partitions=`: the order of each key is kept in the whole fleet, whoever comes and goes."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest

from engine.operations import pausing
from engine.operations.operator import Operator
from engine.runtime.application import Engine
from engine.storage.database import Database
from tests.runtime.ordering import PLUGIN, Mark, assert_in_order, make_marks, marks
from tests.support.workers import Fleet

HANDLER = (
    PLUGIN
    + """
@handler(Mark, key="lane", partitions=4, concurrency=8)
async def follow(event: Event[Mark], session: AsyncSession) -> None:
    await asyncio.sleep(0.002 * (event.data.number % 3))
    await note(event, session)
"""
)


def batch(size: int, lanes: int, first: int) -> list[Mark]:
    """Marks in lanes that are drawn; their numbers rise."""
    draw = random.Random(first)
    return [Mark(lane=f"lane-{draw.randrange(lanes)}", number=first + number) for number in range(size)]


async def publish_while(
    fleet: Fleet, size: int, lanes: int, batches: int, between: Callable[[int], Awaitable[None]]
) -> list[Mark]:
    """Publish batches, and do something after each."""
    published: list[Mark] = []
    async with Engine(fleet.settings()) as engine:
        for number in range(batches):
            marked = batch(size, lanes, number * size)
            await engine.publish_many(marked)
            published += marked
            await between(number)
    return published


async def all_came(fleet: Fleet, published: list[Mark], patience: float = 120) -> None:
    await fleet.until(
        lambda: sum(map(len, marks(fleet).values())) >= len(published), f"{len(published)} effects", patience
    )
    fleet.tally.count(messages=len(published), lost=0, doubled=0)
    assert_in_order(fleet, published)


@pytest.mark.faults
async def test_the_order_of_each_key_survives_workers_that_come_and_go(fleet: Fleet) -> None:
    await make_marks(fleet)
    plugin = fleet.plugin(HANDLER)
    workers = [await fleet.start(plugin), await fleet.start(plugin)]

    async def change(number: int) -> None:
        await fleet.until(lambda: sum(map(len, marks(fleet).values())) > number * 100, "some effects")
        victim = workers.pop(0)
        if number % 2:
            await victim.kill()
            fleet.tally.fault()
        else:
            assert await victim.terminate() == 0
        workers.append(await fleet.start(plugin))

    published = await publish_while(fleet, 150, 12, 4, change)
    await all_came(fleet, published)
    assert fleet.query("SELECT count(*) FROM warren_records WHERE state != 'done'") == [(0,)]
    assert fleet.query("SELECT max(attempts) FROM warren_records") == [(1,)]


async def test_a_second_worker_gets_its_share_and_a_pause_keeps_the_order(fleet: Fleet) -> None:
    await make_marks(fleet)
    plugin, queue = fleet.plugin(HANDLER), f"{fleet.app}.plugin.follow"
    first = await fleet.start(plugin)
    await fleet.start(plugin)
    database = await Database.open(fleet.database)
    published: list[Mark] = []
    async with Engine(fleet.settings()) as engine:

        async def publish() -> None:
            marked = batch(60, 16, len(published))
            published.extend(marked)
            await engine.publish_many(marked)

        while "are passed on to other workers" not in first.said():  # only what is in use is passed on
            await publish()
            await all_came(fleet, published)
        await publish()
        await pausing.pause(database, [queue], operator=Operator("anna"), why="")
        for worker in fleet.workers:
            await worker.until("is paused by anna")
        await publish()
        before = marks(fleet)
        await pausing.resume(database, [queue], operator=Operator("anna"), why="")
        await all_came(fleet, published)
        await publish()
        await all_came(fleet, published)
    await database.close()
    assert sum(map(len, before.values())) < len(published)
    assert fleet.query("SELECT count(DISTINCT worker) FROM warren_records") == [(2,)]
    assert fleet.query("SELECT max(attempts) FROM warren_records") == [(1,)]
