"""Rebuilding beside the live tables, on SQLite and PostgreSQL: live events go on, differences are found, the swap is whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import UniqueConstraint, inspect, text
from sqlmodel import Field, SQLModel

from engine import AsyncSession, Event, EventData, projection
from engine.operations import rebuilding
from engine.operations.operator import Operator
from engine.operations.projections import skip
from engine.storage import audit
from engine.testing.projecting import Projected


class Counted(EventData, type="test.counted"):
    number: int


class Total(SQLModel, table=True):
    __tablename__ = "test_totals"

    remainder: int = Field(primary_key=True)
    total: int
    events: int = Field(index=True)


class Number(SQLModel, table=True):
    __tablename__ = "test_numbers"
    __table_args__ = (UniqueConstraint("number", name="test_numbers_once"),)

    id: int | None = Field(default=None, primary_key=True)
    number: int
    remainder: int = Field(foreign_key="test_totals.remainder")


@projection(Counted, tables=[Number, Total], batch=7)
async def totals(events: list[Event[Counted]], session: AsyncSession) -> None:
    for event in events:
        number = event.data.number
        row = await session.get(Total, number % 3) or Total(remainder=number % 3, total=0, events=0)
        row.total, row.events = row.total + number, row.events + 1
        session.add(row)
        await session.flush()
        session.add(Number(number=number, remainder=number % 3))


ME = Operator("anna@test")
SPEC = totals.__warren_projection__  # type: ignore[attr-defined]


@pytest.fixture(params=["sqlite", "postgresql"])
async def projected(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Projected]:
    sqlite = request.param == "sqlite"
    url: str = f"sqlite:///{tmp_path}/warren.db" if sqlite else request.getfixturevalue("postgres_url")
    async with Projected(totals, database=url) as made:
        yield made


async def sums(projected: Projected) -> dict[int, tuple[int, int]]:
    return {row.remainder: (row.total, row.events) for row in await projected.rows(Total)}


def folded(numbers: range) -> dict[int, tuple[int, int]]:
    parts = {remainder: [n for n in numbers if n % 3 == remainder] for remainder in range(3)}
    return {remainder: (sum(part), len(part)) for remainder, part in parts.items()}


async def names(projected: Projected) -> tuple[set[str], set[str]]:
    def look(connection: Any) -> tuple[set[str], set[str]]:
        inspector = inspect(connection)
        tables = {name for name in inspector.get_table_names() if name.startswith("test_")}
        indices = {str(index["name"]) for name in tables for index in inspector.get_indexes(name)}
        return tables, indices

    return await projected.database.read(look)


async def test_a_rebuild_takes_the_live_ones_place_while_live_events_come(projected: Projected) -> None:
    numbers = range(120)
    database, before = projected.database, await names(projected)

    async def publish() -> None:
        for start in range(0, len(numbers), 4):
            await projected.append(*(Counted(number=number) for number in numbers[start : start + 4]))
            projected.projector.wake()

    running = asyncio.create_task(projected.projector.run())
    publishing = asyncio.create_task(publish())
    for _ in range(2):  # the second time beside tables that were copies themselves
        await rebuilding.begin(database, "test", SPEC, operator=ME, why="")
        while not await rebuilding.swap(database, "test", SPEC, operator=ME, why=""):
            await asyncio.sleep(0.01)
    await publishing
    while (await projected.checkpoints())[0].position < len(numbers):
        await asyncio.sleep(0.01)
    assert await sums(projected) == folded(numbers)
    await projected.projector.stop()
    await running
    assert await names(projected) == before


async def test_a_difference_is_found_and_mended_by_the_swap(projected: Projected) -> None:
    database = projected.database
    await projected.given(*(Counted(number=number) for number in range(30)))

    def spoil(connection: Any) -> None:
        connection.execute(text("UPDATE test_totals SET total = 7 WHERE remainder = 1"))
        connection.execute(text("DELETE FROM test_numbers WHERE number = 29"))

    await database.write(spoil)
    suffix = await rebuilding.begin(database, "test", SPEC, operator=ME, why="wrong sums")
    assert await rebuilding.begin(database, "test", SPEC, operator=ME, why="again") == suffix
    await projected.project()
    found = await rebuilding.compare(database, "test", SPEC)
    assert (found.same, found.level) == (False, True)
    total, number = found.tables
    assert (total.table, total.changed, total.only_live, total.only_rebuilt) == ("test_totals", 1, 0, 0)
    (example,) = total.examples
    assert (example.key, example.live["total"], example.rebuilt["total"]) == ({"remainder": 1}, 7, 145)  # type: ignore[index]
    assert (number.live, number.rebuilt, number.only_rebuilt, number.changed) == (29, 30, 1, 0)

    assert await rebuilding.swap(database, "test", SPEC, operator=ME, why="checked")
    assert await sums(projected) == folded(range(30))
    await projected.given(Counted(number=30))
    assert await sums(projected) == folded(range(31))
    (stands,) = await projected.checkpoints()
    assert (stands.applied, stands.suffix) == (31, "")
    actions = [entry.action for entry in await database.read(lambda connection: audit.list_entries(connection))]
    assert actions == ["projection swap", "projection rebuild"]


async def test_a_rebuild_that_is_given_up_leaves_nothing(projected: Projected) -> None:
    await projected.given(*(Counted(number=number) for number in range(9)))
    before = await names(projected)
    await rebuilding.begin(projected.database, "test", SPEC, operator=ME, why="")
    await projected.project()
    assert len((await names(projected))[0]) == 4
    assert await rebuilding.cancel(projected.database, "test.test_rebuilding.totals", operator=ME, why="")
    assert not await rebuilding.cancel(projected.database, "test.test_rebuilding.totals", operator=ME, why="")
    assert await names(projected) == before
    await projected.given(Counted(number=9))
    assert await sums(projected) == folded(range(10))


async def test_an_event_is_skipped_on_the_record_and_the_log_keeps_it(projected: Projected) -> None:
    await projected.append(Counted(number=1), Counted(number=1), Counted(number=2))  # the second breaks a constraint
    await projected.project()
    (stands,) = await projected.checkpoints()
    assert (stands.applied, stands.failed_position) == (1, 2)
    assert "IntegrityError" in stands.error
    name, event = stands.name, stands.failed_event
    assert not await skip(projected.database, name, event_id="another", operator=ME, why="")
    assert await skip(projected.database, name, event_id=event, operator=ME, why="a duplicate")
    assert not await skip(projected.database, name, event_id=event, operator=ME, why="again")
    await projected.project()
    (stands,) = await projected.checkpoints()
    assert (stands.applied, stands.skipped, stands.position) == (2, 1, 3)
    (entry,) = await projected.database.read(lambda connection: audit.list_entries(connection))
    assert (entry.action, entry.why, entry.what["event_id"]) == ("projection skip", "a duplicate", event)
    events = await projected.database.read(
        lambda connection: connection.scalar(text("SELECT count(*) FROM warren_events"))
    )
    assert events == 3
