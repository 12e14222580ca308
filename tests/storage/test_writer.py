"""The group writer: what gathers is one transaction, the culprit alone fails, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from engine.storage.database import Database
from engine.storage.writer import GROUP_LIMIT
from tests.storage.recording import Apply, Recorder, insert, stored


async def test_a_lone_item_is_written_at_once(database: Database) -> None:
    section = Recorder()
    database.writer.add(section).put("a")
    await section.hears()
    assert section.results == ["A"]
    assert await stored(database) == {"a"}


async def test_what_gathers_is_written_together_in_groups(database: Database) -> None:
    section = Recorder()
    inlet = database.writer.add(section)
    items = [f"{number:04}" for number in range(GROUP_LIMIT + 100)]
    inlet.extend(items)
    assert len(inlet) == len(items)
    await database.writer.drain()
    assert [len(group) for group in section.groups] == [GROUP_LIMIT, 100]
    assert [item for group in section.groups for item in group] == items


async def test_sections_share_a_transaction_in_the_order_they_were_added(database: Database) -> None:
    order: list[str] = []

    def noting(name: str) -> Apply:
        def apply(connection: Connection, items: Sequence[str]) -> Sequence[str]:
            order.append(name)
            return list(items)

        return apply

    first = database.writer.add(Recorder(noting("first")))
    second = database.writer.add(Recorder(noting("second")))
    second.put("b")
    first.put("a")
    await database.writer.drain()
    assert order == ["first", "second"]


async def test_the_culprit_alone_fails(database: Database) -> None:
    section, innocent = Recorder(), Recorder(name="innocent")
    inlet, other = database.writer.add(section), database.writer.add(innocent)
    inlet.extend(["a", "b", "a", "c"])
    other.extend(["x", "y"])
    await database.writer.drain()
    assert section.results == ["A", "B", "C"]
    assert list(section.failures) == ["a"]
    assert isinstance(section.failures["a"], IntegrityError)
    assert innocent.results == ["X", "Y"]
    assert await stored(database) == {"a", "b", "c", "x", "y"}


async def test_a_section_that_answers_wrongly_fails_and_stops_nobody(database: Database) -> None:
    section, innocent = Recorder(lambda connection, items: []), Recorder()
    inlet, other = database.writer.add(section), database.writer.add(innocent)
    inlet.put("a")
    other.put("x")
    await database.writer.drain()
    assert "0 results for 1 items" in str(section.failures["a"])
    assert innocent.results == ["X"]


async def test_a_section_whose_done_raises_stops_nobody(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(Recorder):
        def done(self, items: Sequence[str], results: Sequence[str], /) -> None:
            raise RuntimeError("a mistake")

    innocent = Recorder()
    inlet, other = database.writer.add(Faulty()), database.writer.add(innocent)
    inlet.put("a")
    other.put("x")
    await database.writer.drain()
    assert innocent.results == ["X"]
    assert "could not be passed on" in caplog.text


async def test_a_unit_returns_its_result_or_fails_alone(database: Database) -> None:
    def fail(connection: Connection) -> None:
        insert(connection, ["undone"])
        raise LookupError("a mistake of its own")

    results = await asyncio.gather(
        database.write(lambda connection: insert(connection, ["a"])),
        database.write(fail),
        database.write(lambda connection: insert(connection, ["b"])),
        return_exceptions=True,
    )
    assert results[0] == ["A"]
    assert isinstance(results[1], LookupError)
    assert results[2] == ["B"]
    assert await stored(database) == {"a", "b"}


async def test_a_cancelled_caller_leaves_whole_transactions_behind(database: Database) -> None:
    def two(connection: Connection, number: int) -> None:
        insert(connection, [f"{number} first"])
        insert(connection, [f"{number} second"])

    for number in range(40):
        task = asyncio.create_task(database.write(lambda connection, number=number: two(connection, number)))  # type: ignore[misc]
        for _ in range(number % 8):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    await database.write(lambda connection: insert(connection, ["the end"]))
    found = await stored(database)
    assert {key.split()[0] for key in found if key.endswith("first")} == {
        key.split()[0] for key in found if key.endswith("second")
    }


async def test_an_idle_writer_schedules_nothing(database: Database) -> None:
    await database.write(lambda connection: insert(connection, ["a"]))
    await asyncio.sleep(0)
    loop: Any = asyncio.get_running_loop()
    assert not [handle for handle in loop._scheduled if not handle.cancelled()]
    assert not loop._ready


async def test_close_writes_what_waits(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url, migrate=True)
    database.writer.add(Recorder()).extend([str(number) for number in range(1000)])
    assert await database.close()
    again = await Database.open(sqlite_url)
    assert len(await stored(again)) == 1000
    await again.close()
