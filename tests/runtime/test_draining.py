"""A drain ends within its time, and a second signal at once, also while the database takes nothing."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.runtime.application import Engine
from tests.runtime.events import Step
from tests.support.homes import home, settled
from tests.support.postgres import PostgresServer
from tests.support.workers import Fleet

PLUGIN = """
from sqlalchemy import text
from engine import AsyncSession, Event, EventData, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

@handler(Step)
async def book(event: Event[Step], session: AsyncSession) -> None:
    await session.execute(text("INSERT INTO effects VALUES ('booked', :n)"), {"n": event.data.number})
"""

#: Seconds: the time that a drain has here, and what the end may take beyond it on a busy machine.
DRAIN, MORE = 1.0, 15.0


async def test_a_worker_whose_database_is_locked_ends_and_its_messages_come_again(
    request: pytest.FixtureRequest, tmp_path: Path, app: str
) -> None:
    async with home(request, "embedded-sqlite", tmp_path, app) as fleet:
        await fleet.make_effects()
        plugin = fleet.plugin(PLUGIN)
        patient = await fleet.start(plugin, WARREN_DRAIN_TIMEOUT=str(DRAIN))
        hasty = await fleet.start(plugin, WARREN_DRAIN_TIMEOUT="600")
        with locked(Path(fleet.database.removeprefix("sqlite:///"))):
            fleet.tally.fault()
            await send(fleet, 20)
            began = time.monotonic()
            assert await patient.terminate() == 0, patient.said()
            assert time.monotonic() - began < DRAIN + MORE
            hasty.process.send_signal(signal.SIGTERM)
            await hasty.until("messages in hand")
            began = time.monotonic()
            hasty.process.send_signal(signal.SIGTERM)
            assert await hasty.ended() == 130, hasty.said()
            assert time.monotonic() - began < MORE
        heir = await fleet.start(plugin)
        await fleet.until(lambda: len(fleet.effects("booked")) == 20, "all effects")
        assert await heir.terminate() == 0
        fleet.assert_once("booked", range(20))


@pytest.mark.parametrize("call", ["time.sleep(600)", "await asyncio.to_thread(time.sleep, 600)"])
async def test_a_worker_whose_thread_never_returns_ends(
    request: pytest.FixtureRequest, tmp_path: Path, app: str, call: str
) -> None:
    async with home(request, "embedded-sqlite", tmp_path, app) as fleet:
        await fleet.make_effects()
        kind = "async def" if call.startswith("await") else "def"
        hangs = f"    print('hanging', flush=True)\n    {call}\n"
        head = PLUGIN.partition("@handler")[0]
        stuck = f"import asyncio, time\n{head}@handler(Step)\n{kind} book(event: Event[Step]) -> None:\n{hangs}"
        worker = await fleet.start(fleet.plugin(stuck), WARREN_DRAIN_TIMEOUT=str(DRAIN))
        await send(fleet, 1)
        await worker.until("hanging")
        began = time.monotonic()
        assert await worker.terminate() == 0, worker.said()
        assert time.monotonic() - began < DRAIN + MORE
        assert "1 messages were not finished" in worker.said()
        heir = await fleet.start(fleet.plugin(PLUGIN))
        await fleet.until(lambda: fleet.effects("booked") == [0], "the message to come again")
        assert await heir.terminate() == 0


@pytest.mark.slow
@pytest.mark.faults
async def test_a_worker_whose_postgresql_says_nothing_ends(
    request: pytest.FixtureRequest, postgres_node: PostgresServer, tmp_path: Path, app: str
) -> None:
    fleet = Fleet(tmp_path, f"embedded://{tmp_path}/broker.db", app, postgres_node.url)
    async with settled(request, fleet):
        await fleet.make_effects()
        worker = await fleet.start(fleet.plugin(PLUGIN), WARREN_DRAIN_TIMEOUT=str(DRAIN))
        with postgres_node.frozen():
            fleet.tally.fault()
            await send(fleet, 20)
            await worker.until("has not answered for")
            began = time.monotonic()
            assert await worker.terminate() == 0, worker.said()
            assert time.monotonic() - began < DRAIN + MORE
        heir = await fleet.start(fleet.plugin(PLUGIN))
        await fleet.until(lambda: len(fleet.effects("booked")) == 20, "all effects")
        assert await heir.terminate() == 0
        fleet.assert_once("booked", range(20))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of the database, as a backup or a shell does."""
    other = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


async def send(fleet: Fleet, count: int) -> None:
    async with Engine(fleet.settings(), database=False) as engine:
        await engine.publish_many([Step(number=number) for number in range(count)])
