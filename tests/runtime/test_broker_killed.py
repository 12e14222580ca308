"""kill -9 of RabbitMQ under load: the worker goes on by itself, nothing confirmed is lost, each effect once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.brokers.rabbitmq import calls
from engine.errors import BrokerError
from engine.runtime.application import Engine
from tests.runtime.events import Step
from tests.support.homes import settled
from tests.support.rabbit import RabbitNode
from tests.support.workers import Fleet

PLUGIN = """
from engine.brokers.rabbitmq import calls
calls.LONGEST_RETRY = 1.0

from sqlalchemy import text
from engine import AsyncSession, Context, Event, EventData, RetryPolicy, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

class Effect(EventData, type="test.effect"):
    number: int

@handler(Step, retry=RetryPolicy(max_attempts=3, initial=0.5))
async def book(event: Event[Step], ctx: Context, session: AsyncSession) -> None:
    if event.data.number % 5 == 1 and ctx.attempt == 1:
        raise RuntimeError("flaky")
    await session.execute(text("INSERT INTO effects VALUES ('booked', :n)"), {"n": event.data.number})
    ctx.emit(Effect(number=event.data.number))

@handler(Effect)
async def follow(event: Event[Effect], session: AsyncSession) -> None:
    await session.execute(text("INSERT INTO effects VALUES ('followed', :n)"), {"n": event.data.number})
"""


@pytest.mark.faults
async def test_rabbitmq_killed_under_load_loses_and_doubles_nothing(
    request: pytest.FixtureRequest,
    rabbit_node: RabbitNode,
    tmp_path: Path,
    app: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "LONGEST_RETRY", 1.0)
    async with settled(request, Fleet(tmp_path, rabbit_node.url, app)) as fleet:
        plugin = fleet.plugin(PLUGIN)
        await fleet.make_effects()
        await asyncio.gather(fleet.start(plugin), fleet.start(plugin))
        confirmed = await publish_through_a_crash(fleet, rabbit_node)
        assert len(confirmed) > 200
        await fleet.until(lambda: followed(fleet) >= confirmed, "all that was confirmed to be handled")
        await fleet.until(lambda: fleet.query("SELECT count(*) FROM warren_outbox") == [(0,)], "an empty outbox")
        for worker in fleet.workers:
            assert await worker.terminate() == 0, worker.said()
            assert "trying again" in worker.said()
        for step in ("booked", "followed"):
            # What was not confirmed may have arrived all the same, once.
            fleet.assert_once(step, confirmed | set(fleet.effects(step)))


async def publish_through_a_crash(fleet: Fleet, node: RabbitNode) -> set[int]:
    """Publish while the node is killed and started again; the numbers whose events were confirmed."""
    confirmed: set[int] = set()
    crash: asyncio.Task[None] | None = None
    async with Engine(fleet.settings()) as engine:
        for start in range(0, 600, 20):
            group = range(start, start + 20)
            try:
                await engine.publish_many([Step(number=number) for number in group])
                confirmed.update(group)
            except BrokerError:
                continue  # perhaps it arrived, perhaps not: it was not promised
            if start == 200:
                fleet.tally.fault()
                crash = asyncio.create_task(asyncio.to_thread(restart, node))
    assert crash is not None
    await crash
    return confirmed


def restart(node: RabbitNode) -> None:
    node.kill()
    node.start()


def followed(fleet: Fleet) -> set[int]:
    return {number for (number,) in fleet.query("SELECT number FROM effects WHERE step = 'followed'")}
