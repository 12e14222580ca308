"""The group writer while the database is locked, full, moved away or gone: what was handed to it waits, and is written once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from engine.errors import DatabaseError, DatabaseUnavailable
from engine.model.record import Claim, Holder, Run, finish
from engine.storage import records
from engine.storage import writer as writer_module
from engine.storage.database import Database
from engine.storage.pen import Pen
from tests.storage.recording import Recorder, insert, stored
from tests.support.postgres import PostgresServer


class States:
    """What the writer said of the database."""

    def __init__(self, database: Database) -> None:
        self.said: list[DatabaseError | None] = []
        self.news = asyncio.Event()
        database.writer.on_state = self._hear

    def _hear(self, trouble: DatabaseError | None) -> None:
        self.said.append(trouble)
        self.news.set()

    async def next(self) -> DatabaseError | None:
        async with asyncio.timeout(20):
            await self.news.wait()
        self.news.clear()
        return self.said[-1]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.storage.engines.BUSY_TIMEOUT", 0.05)
    monkeypatch.setattr(writer_module, "LONGEST_PAUSE", 0.1)


@pytest.mark.usefixtures("impatient")
async def test_a_database_that_another_program_locks_is_waited_for(sqlite_url: str, tmp_path: Path) -> None:
    database = await Database.open(sqlite_url, migrate=True)
    states, section = States(database), Recorder()
    foreign = sqlite3.connect(tmp_path / "warren.db", isolation_level=None)
    foreign.execute("BEGIN EXCLUSIVE")
    database.writer.add(section).extend(["a", "b"])
    trouble = await states.next()
    assert trouble is not None
    assert "locked by another process" in trouble.message
    assert "fuser" in trouble.hint
    assert database.writer.trouble is not None
    foreign.execute("ROLLBACK")
    foreign.close()
    assert await states.next() is None
    await section.hears()
    assert section.results == ["A", "B"]
    assert section.failures == {}
    assert await database.close()


@pytest.mark.usefixtures("impatient")
async def test_a_full_disk_is_waited_for(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url, migrate=True)
    limit = await database.pen.transact(lambda connection: connection.exec_driver_sql("PRAGMA page_count").scalar())

    def keep_small(connection: Connection) -> None:
        pages = limit if small else 1_000_000
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    def write(connection: Connection, items: Sequence[str]) -> Sequence[str]:
        keep_small(connection)
        return insert(connection, items)

    small = True
    states, section = States(database), Recorder(write)
    items = [f"{number}" * 4000 for number in range(20)]
    database.writer.add(section).extend(items)
    trouble = await states.next()
    assert trouble is not None
    assert "disk is full" in trouble.message
    assert await stored(database) == set()
    small = False
    assert await states.next() is None
    await section.hears()
    assert await stored(database) == set(items)
    await database.close()


@pytest.mark.usefixtures("impatient")
async def test_a_culprit_met_while_the_disk_is_full_still_fails_alone(sqlite_url: str) -> None:
    database = await Database.open(sqlite_url, migrate=True)
    full = 3

    def write(connection: Connection, items: Sequence[str]) -> Sequence[str]:
        nonlocal full
        if "late" in items and full:
            full -= 1
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            connection.rollback()  # as SQLite does by itself
            raise error
        return insert(connection, items)

    section = Recorder(write)
    database.writer.add(section).extend(["a", "a", "late"])
    await database.writer.drain()
    assert section.results == ["A", "LATE"]
    assert list(section.failures) == ["a"]
    await database.close()


@pytest.mark.usefixtures("impatient")
async def test_a_lost_table_is_the_environments_fault(database: Database) -> None:
    states = States(database)
    await database.write(lambda connection: connection.execute(text("ALTER TABLE warren_meta RENAME TO warren_gone")))
    section = Recorder()
    database.writer.add(section).put("a")
    trouble = await states.next()
    assert trouble is not None
    assert "warren db upgrade" in trouble.hint
    await database.pen.transact(
        lambda connection: connection.execute(text("ALTER TABLE warren_gone RENAME TO warren_meta"))
    )
    assert await states.next() is None
    assert section.failures == {}


@pytest.mark.usefixtures("impatient")
async def test_a_commit_whose_answer_was_lost_is_recognised(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = [Claim("q", event_id, 0, b"hash") for event_id in "ab"]
    mine = await database.write(
        lambda connection: records.claim(connection, claims, worker="me", holder=lambda record: Holder.SELF, now=1.0)
    )
    held = {decision.record.event_id: decision.record for decision in mine if isinstance(decision, Run)}

    def settle(connection: Connection, items: Sequence[str]) -> Sequence[str]:
        return records.settle(connection, [finish(held[item], 2.0) for item in items])

    commit, lost = Pen.commit, False

    def commit_and_lose_the_answer(pen: Pen) -> None:
        nonlocal lost
        commit(pen)
        if not lost:
            lost = True
            raise DatabaseUnavailable("the connection was lost")

    monkeypatch.setattr(Pen, "commit", commit_and_lose_the_answer)
    section = Recorder(settle)
    database.writer.add(section).extend(["a", "b"])
    await section.hears()
    assert section.results == [records.Fate.REPEATED] * 2


@pytest.mark.usefixtures("impatient")
async def test_a_killed_backend_costs_nothing(postgres_url: str) -> None:
    database = await Database.open(postgres_url, migrate=True)
    states, section = States(database), Recorder()
    inlet = database.writer.add(section)
    inlet.put("before")
    await section.hears()
    killer = await Database.open(postgres_url)
    killed = text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert await killer.read(lambda connection: connection.scalar(killed)) is not None
    inlet.put("after")
    await section.hears()
    assert section.results == ["BEFORE", "AFTER"]
    assert states.said[-1] is None
    await killer.close()
    await database.close()


@pytest.mark.faults
@pytest.mark.usefixtures("impatient")
async def test_a_server_that_is_killed_and_comes_back_costs_nothing(postgres_node: PostgresServer) -> None:
    database = await Database.open(postgres_node.url, migrate=True)
    states, section = States(database), Recorder()
    inlet = database.writer.add(section)
    inlet.put("before")
    await section.hears()
    postgres_node.kill()
    inlet.put("after")
    trouble = await states.next()
    assert trouble is not None
    assert "not reached" in trouble.message or "shutting down" in trouble.message or "connection" in trouble.message
    postgres_node.start()
    while await states.next() is not None:
        pass
    await section.hears()
    assert await stored(database) == {"before", "after"}
    await database.close()


async def test_a_database_that_does_not_answer_is_reported(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "PATIENCE", 0.05)
    states = States(sqlite_database)
    session = sqlite_database.session()
    await session.execute(text("SELECT 1"))
    unit = asyncio.create_task(sqlite_database.write(lambda connection: insert(connection, ["a"])))
    trouble = await states.next()
    assert trouble is not None
    assert "not answered" in trouble.message
    await session.abandon()
    assert await states.next() is None
    assert await unit == ["A"]


@pytest.mark.parametrize("replaced", [False, True], ids=["moved", "replaced"])
async def test_a_file_that_was_moved_away_is_not_written_and_goes_on_when_it_is_back(
    tmp_path: Path, replaced: bool
) -> None:
    """Whoever opens the database now would not find what is written to the old file."""
    path, aside = tmp_path / "here" / "warren.db", tmp_path / "aside.db"
    database = await Database.open(f"sqlite:///{path}", migrate=True)
    try:
        section, heard = Recorder(), asyncio.Queue[DatabaseError | None]()
        database.writer.on_state = heard.put_nowait
        inlet = database.writer.add(section)
        path.rename(aside)
        if replaced:
            path.touch()
        inlet.put("a")
        async with asyncio.timeout(20):
            trouble = await heard.get()
            assert trouble is not None
            assert "was moved or deleted" in trouble.message
            assert "restart" in trouble.hint
            assert section.groups == []
            aside.rename(path)
            assert await heard.get() is None
        await database.writer.drain()
        assert await stored(database) == {"a"}
    finally:
        await database.close()
