"""Which handler holds the writer for long is known from what its worker reports."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from engine import AsyncSession, Event, EventData, handler
from engine.operations.doctor import fleet
from engine.storage import session as sessions
from engine.storage import workers
from engine.testing.harness import Harness


class Ping(EventData, type="test.ping"):
    number: int


@handler(Ping)
async def dawdle(event: Event[Ping], session: AsyncSession) -> None:
    await session.execute(text("SELECT 1"))
    await asyncio.sleep(0.06)


@handler(Ping)
async def hurry(event: Event[Ping], session: AsyncSession) -> None:
    await session.execute(text("SELECT 1"))


async def test_a_session_that_is_held_for_long_is_reported_with_its_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LONG_HELD", 0.05)
    async with Harness(dawdle, hurry) as harness:
        for number in range(2):
            await harness.publish(Ping(number=number))
        await harness.settle()
        await harness.worker.heartbeat.save()
        (worker,) = await harness.database.read(workers.list_workers)
        ((queue, (count, longest)),) = worker.info["holds"].items()
        assert worker.info["handlers"][queue] == "dawdle"
        assert (count, longest < 5) == (2, True)
        assert longest >= 0.06
        (finding,) = fleet.check_holds([worker])
        assert "dawdle on test.test_holds.dawdle" in finding.what
