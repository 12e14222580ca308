"""Suspects run one at a time, under their tokens, and at the last trial with nothing beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.model.message import Delivery, Message
from engine.model.record import MAX_DEATHS, Claim, Record, State
from engine.runtime.job import Job
from engine.runtime.lanes import Lanes
from engine.runtime.suspects import Suspects
from engine.storage import records
from engine.storage.database import Database


class Stage:
    """What a suspect sees of its handler: real lanes, and a handler that the test lets go on."""

    queue = "shop.a"
    takes_turns = False

    def __init__(self) -> None:
        self.log: list[str] = []
        self.go_on: dict[str, asyncio.Event] = {}
        self.lanes = Lanes(self.queue, 4, self.run)

    def hold(self, until: asyncio.Event | None) -> None:
        self.lanes.hold = until

    @property
    def busy(self) -> bool:
        return self.lanes.busy > 0

    async def run(self, job: Job) -> None:
        name = job.claim.event_id
        self.log.append(f"{name} begins")
        await self.go_on.setdefault(name, asyncio.Event()).wait()
        self.log.append(f"{name} ends")
        if job.settled is not None:
            job.settled.set()

    def let(self, *names: str) -> None:
        for name in names:
            self.go_on.setdefault(name, asyncio.Event()).set()

    def job(self, name: str, deaths: int = 0, token: int = 1) -> Job:
        job = Job(self, Delivery(self.queue, Message(b""), 1), Claim(self.queue, name, 0, b""), None, None)  # type: ignore[arg-type]
        job.record = Record(self.queue, name, State.RUNNING, 1, 1, token, "w", b"", deaths, False, 1.0, 1.0)
        return job


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(f"sqlite:///{tmp_path}/warren.db", migrate=True)
    yield database
    await database.close()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    for task in stage.lanes.tasks:
        task.cancel()


@pytest.fixture
async def suspects(database: Database, stage: Stage) -> AsyncIterator[tuple[Suspects, list[Job]]]:
    released: list[Job] = []
    made = Suspects(database, [stage], released.append)  # type: ignore[list-item]
    task = asyncio.create_task(made.run())
    yield made, released
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(reached: Any) -> None:
    async with asyncio.timeout(10):
        while not reached():
            await asyncio.sleep(0.005)


async def stored(database: Database, name: str) -> Record:
    return (await database.read(lambda connection: records.fetch(connection, [("shop.a", name)])))["shop.a", name]


async def claim(database: Database, *jobs: Job) -> None:
    found = [job.record for job in jobs if job.record is not None]
    await database.write(lambda connection: records.put(connection, found))


async def test_one_at_a_time_and_on_probation(
    database: Database, stage: Stage, suspects: tuple[Suspects, list[Job]]
) -> None:
    first, second = stage.job("first"), stage.job("second")
    await claim(database, first, second)
    suspects[0].put(first)
    suspects[0].put(second)
    await until(lambda: stage.log == ["first begins"])
    assert (await stored(database, "first")).probation
    assert not (await stored(database, "second")).probation
    stage.let("first", "second")
    await until(lambda: stage.log[-1] == "second ends")
    assert stage.log == ["first begins", "first ends", "second begins", "second ends"]


async def test_one_that_was_taken_over_meanwhile_is_let_go_and_left_alone(
    database: Database, stage: Stage, suspects: tuple[Suspects, list[Job]]
) -> None:
    mine, theirs = stage.job("x", token=3), stage.job("x", token=4)
    await claim(database, theirs)
    suspects[0].put(mine)
    await until(lambda: suspects[1] == [mine])
    assert await stored(database, "x") == theirs.record
    assert stage.log == []


async def test_a_last_trial_waits_for_what_runs_and_lets_nothing_begin(
    database: Database, stage: Stage, suspects: tuple[Suspects, list[Job]]
) -> None:
    suspect = stage.job("suspect", deaths=MAX_DEATHS - 1)
    await claim(database, suspect)
    stage.lanes.put(stage.job("early"))
    await until(lambda: stage.log == ["early begins"])
    suspects[0].put(suspect)
    await until(lambda: stage.lanes.hold is not None)
    for name in ("late", "later"):
        stage.lanes.put(stage.job(name))
    stage.let("early")
    await until(lambda: "suspect begins" in stage.log)
    await asyncio.sleep(0.05)
    assert stage.log == ["early begins", "early ends", "suspect begins"]
    stage.let("suspect")
    await until(lambda: "later begins" in stage.log)
    assert stage.log == ["early begins", "early ends", "suspect begins", "suspect ends", "late begins", "later begins"]
