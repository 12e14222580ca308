from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection, String, text
from sqlalchemy.exc import IntegrityError, PendingRollbackError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from engine.errors import UsageError
from engine.storage import session as session_module
from engine.storage.database import Database


class Base(DeclarativeBase):
    pass


class Order(Base):
    """A table of a user's own."""

    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(String, primary_key=True)
    state: Mapped[str] = mapped_column(String)


@pytest.fixture
async def orders(database: Database) -> Database:
    await database.write(Base.metadata.create_all)
    return database


def note(connection: Connection, key: str = "outcome") -> str:
    """Stands for what the engine commits together with the handler's writes."""
    connection.execute(text("INSERT INTO warren_meta (key, value) VALUES (:key, 'x')"), {"key": key})
    return key


async def order_ids(database: Database) -> list[str]:
    return await database.read(lambda connection: list(connection.scalars(text("SELECT id FROM orders ORDER BY id"))))


async def notes(database: Database) -> int:
    statement = text("SELECT count(*) FROM warren_meta WHERE value = 'x'")
    return await database.read(lambda connection: int(connection.scalar(statement) or 0))


async def test_what_the_handler_wrote_and_its_outcome_commit_together(orders: Database) -> None:
    session = orders.session()
    touched_before = session.touched
    session.add(Order(id="a", state="new"))
    await session.flush()
    await session.execute(text("INSERT INTO orders VALUES ('b', 'new')"))
    assert (touched_before, session.touched) == (False, True)
    assert await order_ids(orders) == []
    assert await session.finish(note) == "outcome"
    assert await order_ids(orders) == ["a", "b"]
    assert await notes(orders) == 1


async def test_what_is_only_added_is_written_too(orders: Database) -> None:
    session = orders.session()
    session.add(Order(id="a", state="new"))
    assert session.touched
    await session.finish(note)
    assert await order_ids(orders) == ["a"]


async def test_an_untouched_session_can_be_finished(orders: Database) -> None:
    await orders.session().finish(note)
    assert await notes(orders) == 1


async def test_abandon_undoes_everything(orders: Database) -> None:
    session = orders.session()
    await session.execute(text("INSERT INTO orders VALUES ('a', 'new')"))
    await session.abandon()
    assert await order_ids(orders) == []
    await orders.write(note)  # and the writer has its turn back


async def test_work_that_fails_undoes_what_the_handler_wrote(orders: Database) -> None:
    await orders.write(note)
    session = orders.session()
    session.add(Order(id="a", state="new"))
    with pytest.raises(IntegrityError):
        await session.finish(note)
    assert await order_ids(orders) == []
    await orders.write(lambda connection: note(connection, "another"))


@pytest.mark.parametrize("call", ["commit", "close", "begin", "reset", "run_sync", "async with"])
async def test_the_handler_cannot_end_the_transaction(orders: Database, call: str) -> None:
    session = orders.session()
    session.add(Order(id="a", state="new"))
    await session.flush()
    with pytest.raises(UsageError) as caught:
        match call:
            case "begin":
                session.begin()
            case "run_sync":
                await session.run_sync(lambda inner: inner.commit())
            case "async with":
                async with session:
                    pass
            case _:
                await getattr(session, call)()
    assert "committed with the outcome" in caught.value.hint
    assert await order_ids(orders) == []
    await session.finish(note)
    assert await order_ids(orders) == ["a"]


async def test_commit_on_the_connection_is_refused_on_sqlite(sqlite_database: Database) -> None:
    session = sqlite_database.session()
    connection = await session.connection()
    await connection.execute(text("SELECT 1"))
    with pytest.raises(UsageError):
        await (await connection.get_raw_connection()).driver_connection.commit()  # type: ignore[union-attr]
    await session.abandon()


async def test_rollback_lets_the_handler_begin_again(orders: Database) -> None:
    session = orders.session()
    await session.execute(text("INSERT INTO orders VALUES ('a', 'new')"))
    await session.rollback()
    assert not session.touched
    await orders.write(lambda connection: note(connection, "between"))
    await session.execute(text("INSERT INTO orders VALUES ('b', 'new')"))
    await session.finish(note)
    assert await order_ids(orders) == ["b"]


async def test_a_savepoint_undoes_only_its_own(orders: Database) -> None:
    session = orders.session()
    session.add(Order(id="a", state="new"))
    await session.flush()
    with pytest.raises(IntegrityError):
        async with session.begin_nested():
            await session.execute(text("INSERT INTO orders VALUES ('a', 'again')"))
    async with session.begin_nested():
        session.add(Order(id="b", state="new"))
    await session.finish(note)
    assert await order_ids(orders) == ["a", "b"]


async def test_a_failed_flush_that_the_handler_swallowed_is_not_committed_in_part(orders: Database) -> None:
    session = orders.session()
    await session.execute(text("INSERT INTO orders VALUES ('a', 'new')"))
    session.add(Order(id="a", state="again"))
    with pytest.raises(IntegrityError):
        await session.flush()
    with pytest.raises(PendingRollbackError):
        await session.finish(note)
    assert await order_ids(orders) == []
    assert await notes(orders) == 0


async def test_reading_its_own_writes_and_many_rows(orders: Database) -> None:
    session = orders.session()
    session.add_all([Order(id=f"{number:03}", state="new") for number in range(300)])
    await session.flush()
    rows = (await session.execute(text("SELECT id FROM orders ORDER BY id"))).scalars().all()
    assert len(rows) == 300
    streamed = await session.stream_scalars(text("SELECT id FROM orders ORDER BY id"))
    assert [row async for row in streamed] == rows
    assert (await session.get_one(Order, "007")).state == "new"
    await session.finish(note)


async def test_sessions_on_sqlite_take_turns_with_each_other_and_the_writer(sqlite_database: Database) -> None:
    database = sqlite_database
    await database.write(Base.metadata.create_all)

    async def count_up(number: int) -> None:
        session = database.session()
        found = (await session.execute(text("SELECT count(*) FROM orders"))).scalar_one()
        await asyncio.sleep(0)
        await session.execute(text("INSERT INTO orders VALUES (:id, 'new')"), {"id": f"{found:03}"})
        await session.finish(lambda connection: note(connection, f"session {number}"))

    await asyncio.gather(
        *(count_up(number) for number in range(20)),
        *(database.write(lambda connection, key=f"unit {number}": note(connection, key)) for number in range(20)),  # type: ignore[misc]
    )
    assert await order_ids(database) == [f"{number:03}" for number in range(20)]
    assert await notes(database) == 40


async def test_sessions_on_postgresql_run_side_by_side(postgres_url: str) -> None:
    database = await Database.open(postgres_url, migrate=True)
    first, second = database.session(), database.session()
    await first.execute(text("SELECT 1"))
    await second.execute(text("SELECT 1"))
    await database.write(note)
    await first.finish(lambda connection: note(connection, "first"))
    await second.finish(lambda connection: note(connection, "second"))
    await database.close()


async def test_cancelling_a_statement_leaves_the_database_usable(orders: Database) -> None:
    endless = text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000000000) SELECT count(*) FROM n"
    )
    session = orders.session()
    await session.execute(text("INSERT INTO orders VALUES ('a', 'new')"))
    running = asyncio.ensure_future(session.execute(endless))
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await session.abandon()
    async with asyncio.timeout(10):
        await orders.write(note)
    assert await order_ids(orders) == []


async def test_cancelling_at_any_moment_commits_all_or_nothing(orders: Database) -> None:
    async def handle(number: int) -> None:
        session = orders.session()
        try:
            await session.execute(text("INSERT INTO orders VALUES (:id, 'new')"), {"id": str(number)})
            await session.finish(lambda connection: note(connection, str(number)))
        finally:
            await session.abandon()

    for number in range(60):
        task = asyncio.create_task(handle(number))
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    await orders.write(lambda connection: note(connection, "the end"))
    assert len(await order_ids(orders)) == await notes(orders) - 1


async def test_a_session_held_for_long_is_reported(orders: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "LONG_HELD", 0.02)
    heard: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    session = orders.session(on_held=heard.set_result)
    await asyncio.sleep(0.05)
    assert not heard.done()  # nothing is held before the first statement
    await session.execute(text("SELECT 1"))
    assert await asyncio.wait_for(heard, 5) == 0.02
    await session.finish(note)


@pytest.mark.parametrize("ending", ["finish", "abandon"])
async def test_how_long_it_was_held_is_told_once_it_has_ended(
    orders: Database, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(session_module, "LONG_HELD", 0.02)
    heard: list[float] = []
    session = orders.session(on_released=heard.append)
    await session.execute(text("SELECT 1"))
    await asyncio.sleep(0.05)
    assert heard == []
    await (session.finish(note) if ending == "finish" else session.abandon())
    assert len(heard) == 1
    assert 0.05 <= heard[0] < 2


async def test_a_session_that_ends_soon_is_not_reported(orders: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "LONG_HELD", 0.5)
    heard: list[float] = []
    session = orders.session(on_held=heard.append, on_released=heard.append)
    await session.execute(text("SELECT 1"))
    await session.finish(note)
    await asyncio.sleep(0.6)
    assert heard == []


async def test_who_waits_for_the_turn_to_write_holds_nothing(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "LONG_HELD", 0.05)
    heard: list[str] = []
    holder = sqlite_database.session(on_held=lambda _seconds: heard.append("holder"))
    waiter = sqlite_database.session(
        on_held=lambda _seconds: heard.append("waiter"), on_released=lambda _seconds: heard.append("released")
    )
    await holder.execute(text("SELECT 1"))
    waiting = asyncio.ensure_future(waiter.execute(text("SELECT 1")))
    while not heard:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    await holder.finish(note)
    await waiting
    await waiter.finish(lambda connection: note(connection, "waiter"))
    assert heard == ["holder"]


async def test_standing_in_line_for_the_turn_is_told_apart_from_holding_it(sqlite_database: Database) -> None:
    """Since the time-out of a handler shall not count what another one takes."""
    holder, waiter = sqlite_database.session(), sqlite_database.session()
    await holder.execute(text("SELECT 1"))
    waiting = asyncio.ensure_future(waiter.execute(text("SELECT 1")))
    while waiter.queued() < 0.1:
        assert not waiting.done()
        await asyncio.sleep(0.01)
    await holder.finish(note)
    await waiting
    queued = waiter.queued()
    assert queued >= 0.1
    assert holder.queued() < queued
    await asyncio.sleep(0.1)  # now it holds the turn itself
    assert waiter.queued() == queued
    await waiter.finish(lambda connection: note(connection, "waiter"))


async def test_cancelling_in_a_crowd_leaves_nobody_waiting(sqlite_database: Database) -> None:
    """Whatever each of them was at: in the line for the turn, in the thread, committing."""
    database = sqlite_database
    await database.write(Base.metadata.create_all)

    async def handle(number: int) -> None:
        session = database.session()
        try:
            await session.execute(text("INSERT INTO orders VALUES (:id, 'new')"), {"id": str(number)})
            await session.finish(lambda connection: note(connection, str(number)))
        finally:
            await session.abandon()

    for steps in range(1, 60):
        crowd = [asyncio.create_task(handle(steps * 100 + number)) for number in range(8)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in crowd[::2]:
            task.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait(crowd)
        assert all(task.cancelled() or task.exception() is None for task in crowd)
        assert all(not task.cancelled() for task in crowd[1::2])
    assert len(await order_ids(database)) == await notes(database)
    assert not database.pen.taken
