"""The outbox in the application's own transaction: published if, and only if, that commits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlmodel
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlmodel.ext.asyncio.session import AsyncSession as SQLModelAsyncSession

from engine.errors import UsageError
from engine.model.topology import Binding, Exchange, Queue, Topology
from engine.runtime.application import Engine
from engine.storage import outbox
from engine.storage.database import Database
from tests.runtime.events import Step
from tests.runtime.test_application import numbers
from tests.support.workers import Fleet

ASYNC = {"sqlite:///": "sqlite+aiosqlite:///", "postgresql://": "postgresql+psycopg://"}
SYNC = {"sqlite:///": "sqlite:///", "postgresql://": "postgresql+psycopg://"}


def url_of(database: str, drivers: dict[str, str]) -> str:
    for scheme, driver in drivers.items():
        if database.startswith(scheme):
            return database.replace(scheme, driver, 1)
    raise AssertionError(database)


@pytest.fixture(params=["sqlite", "postgresql"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> AsyncIterator[Engine]:
    """An engine on the embedded broker and either database, with a queue `all`, and a table of the application."""
    database = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    fleet = Fleet(tmp_path, f"embedded://{tmp_path}/broker.db", app, database)
    opened = await Database.open(fleet.database, migrate=True)
    await opened.write(lambda connection: connection.exec_driver_sql("CREATE TABLE orders (number INT)"))
    await opened.close()
    async with Engine(fleet.settings()) as made:
        exchange = made.settings.exchange
        await made.broker.declare(Topology((Exchange(exchange),), (Queue("all"),), (Binding(exchange, "all", "#"),)))
        yield made


INSERT = text("INSERT INTO orders VALUES (:n)")


async def arrived(engine: Engine) -> list[int]:
    """What was published in the end: nothing of it may wait any longer."""
    async with asyncio.timeout(20):
        database = await Database.open(engine.settings.database_url)
        while await database.read(outbox.pending):
            await asyncio.sleep(0.01)
        await database.close()
    return sorted(await numbers(engine, "all"))


@pytest.mark.parametrize("kind", [AsyncSession, SQLModelAsyncSession])
async def test_with_an_asynchronous_session(engine: Engine, kind: type[AsyncSession]) -> None:
    source = create_async_engine(url_of(engine.settings.database_url, ASYNC))
    async with kind(source) as session:
        for number in (1, 2):
            await (await session.connection()).execute(INSERT, {"n": number})
            event = engine.outbox(session).add(Step(number=number))
            assert event.data.number == number
        await session.commit()
        await (await session.connection()).execute(INSERT, {"n": 3})
        engine.outbox(session).add(Step(number=3))
        await session.flush()
        await session.rollback()
        engine.outbox(session).add(Step(number=4))
        async with session.begin_nested() as savepoint:
            engine.outbox(session).add(Step(number=5))
            await savepoint.rollback()
        async with session.begin_nested():
            engine.outbox(session).add(Step(number=6))
        await session.commit()
    assert await arrived(engine) == [1, 2, 4, 6]
    async with source.connect() as connection:
        assert sorted((await connection.scalars(text("SELECT number FROM orders"))).all()) == [1, 2]
    scoped = async_scoped_session(lambda: kind(source), scopefunc=asyncio.current_task)
    engine.outbox(scoped).add(Step(number=7))
    await scoped.commit()
    await scoped.remove()
    assert await arrived(engine) == [7]
    await source.dispose()


@pytest.mark.parametrize("kind", [Session, sqlmodel.Session])
async def test_with_a_session_in_a_thread(engine: Engine, kind: type[Session]) -> None:
    source = create_engine(url_of(engine.settings.database_url, SYNC))

    def work() -> None:
        with kind(source) as session:
            for number in (1, 2):
                session.execute(INSERT, {"n": number})
                engine.outbox(session).add(Step(number=number))
            session.commit()
            engine.outbox(session).add(Step(number=3))
            session.rollback()
        with pytest.raises(ZeroDivisionError), kind(source) as session, session.begin():
            engine.outbox(session).add(Step(number=4))
            session.flush()
            _ = 1 / 0
        scoped = scoped_session(sessionmaker(source, class_=kind))
        engine.outbox(scoped).add(Step(number=5))
        scoped.commit()
        scoped.remove()

    await asyncio.to_thread(work)
    assert await arrived(engine) == [1, 2, 5]
    source.dispose()


async def test_with_a_plain_connection(engine: Engine) -> None:
    source = create_engine(url_of(engine.settings.database_url, SYNC))

    def work() -> None:
        with source.begin() as connection:
            connection.execute(INSERT, {"n": 1})
            engine.outbox(connection).add(Step(number=1))
        with source.connect() as connection:
            engine.outbox(connection).add(Step(number=2))
            connection.rollback()

    await asyncio.to_thread(work)
    assert await arrived(engine) == [1]
    asynchronous = create_async_engine(url_of(engine.settings.database_url, ASYNC))
    async with asynchronous.begin() as connection:
        with pytest.raises(UsageError, match="run_sync"):
            engine.outbox(connection).add(Step(number=3))  # type: ignore[arg-type]

        def add(inner: Connection) -> None:
            engine.outbox(inner).add(Step(number=4))

        await connection.run_sync(add)
    assert await arrived(engine) == [4]
    await asynchronous.dispose()
    source.dispose()


async def test_another_database_is_refused(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """However it is reached; and nothing is committed there either."""
    others = [f"sqlite:///{tmp_path}/other.db", "sqlite://"]
    if engine.settings.database_url.startswith("postgresql:"):
        url = request.getfixturevalue("postgres_server")
        others.append(url)  # the same server, another database
    for other in others:
        database = create_engine(other if other == "sqlite://" else url_of(other, SYNC))
        for factory in (Session, sqlmodel.Session):
            with factory(database) as session, pytest.raises(UsageError, match="workers relay from"):
                engine.outbox(session).add(Step(number=1))
        with database.connect() as connection, pytest.raises(UsageError, match="workers relay from"):
            engine.outbox(connection).add(Step(number=1))
        database.dispose()
        if other == "sqlite://":
            continue
        source = create_async_engine(url_of(other, ASYNC))
        async with AsyncSession(source) as asynchronous:
            with pytest.raises(UsageError, match="workers relay from"):
                await _add_and_commit(engine, asynchronous)
        await source.dispose()
    with pytest.raises(UsageError, match="str is no session"):
        engine.outbox("session").add(Step(number=1))  # type: ignore[arg-type]


async def _add_and_commit(engine: Engine, session: AsyncSession) -> None:
    engine.outbox(session).add(Step(number=1))
    await session.commit()


async def test_a_sqlite_file_is_the_same_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet(tmp_path, f"embedded://{tmp_path}/broker.db", "same")
    (tmp_path / "link.db").symlink_to(tmp_path / "warren.db")
    monkeypatch.chdir(tmp_path)
    async with Engine(fleet.settings()) as engine:
        for name in (
            "sqlite:///warren.db",
            "sqlite:///./link.db",
            f"sqlite:///{tmp_path}/../{tmp_path.name}/warren.db",
        ):
            source = create_engine(name)
            with Session(source) as session:
                engine.outbox(session).add(Step(number=1))
                session.commit()
            source.dispose()


async def test_a_postgresql_database_is_the_same_however_it_is_named(postgres_url: str, tmp_path: Path) -> None:
    opened = await Database.open(postgres_url, migrate=True)
    await opened.close()
    fleet = Fleet(tmp_path, f"embedded://{tmp_path}/broker.db", "same", postgres_url)
    async with Engine(fleet.settings()) as engine:
        other = url_of(postgres_url, SYNC).replace("127.0.0.1", "localhost")
        source = create_engine(other, connect_args={"application_name": "another", "options": "-c timezone=Asia/Tokyo"})
        with Session(source) as session:
            engine.outbox(session).add(Step(number=1))
            session.commit()
        source.dispose()


async def test_a_delayed_event_of_a_transaction_can_be_cancelled(fleet: Fleet) -> None:
    from tests.runtime.test_cancelling import PLUGIN, empty

    await fleet.make_effects()
    await fleet.start(fleet.plugin(PLUGIN))
    source = create_async_engine(url_of(fleet.database, ASYNC))
    async with Engine(fleet.settings()) as engine:
        async with AsyncSession(source) as session, session.begin():
            promised = engine.outbox(session)
            kept, dropped = promised.add(Step(number=1), delay=1.0), promised.add(Step(number=2), delay=1.0)
            at_once = promised.send(Step(number=3), queue=f"{fleet.app}.plugin.book")
        assert await engine.cancel(dropped.id)
        assert not await engine.cancel(at_once.id)
        await fleet.until(lambda: len(fleet.effects("booked")) == 2, "the events that were not cancelled")
        assert not await engine.cancel(kept.id)
        await empty(engine, fleet)
    await source.dispose()
    fleet.assert_once("booked", [1, 3])


async def test_workers_publish_what_an_application_committed_and_could_not(fleet: Fleet) -> None:
    """The engine is gone before its session commits: a worker finds the row within seconds."""
    from tests.runtime.test_cancelling import PLUGIN

    await fleet.make_effects()
    await fleet.start(fleet.plugin(PLUGIN))
    source = create_engine(url_of(fleet.database, SYNC))
    with Session(source) as session:
        async with Engine(fleet.settings()) as engine:
            engine.outbox(session).add(Step(number=1))
            session.flush()
        await asyncio.to_thread(session.commit)
    await fleet.until(lambda: bool(fleet.effects("booked")), "the event")
    source.dispose()
    fleet.assert_once("booked", [1])


async def test_engine_and_workers_never_publish_a_row_both(fleet: Fleet) -> None:
    """Who claims a row owns it: with two workers that sweep beside the engine nothing is published twice."""
    from tests.runtime.test_cancelling import PLUGIN

    await fleet.make_effects()
    plugin = fleet.plugin(PLUGIN)
    await asyncio.gather(fleet.start(plugin), fleet.start(plugin))
    source = create_engine(url_of(fleet.database, SYNC))
    count = 150

    def work(engine: Engine) -> None:
        for number in range(count):
            with Session(source) as session, session.begin():
                engine.outbox(session).add(Step(number=number))

    async with Engine(fleet.settings()) as engine:
        await asyncio.to_thread(work, engine)
        await fleet.until(lambda: len(fleet.effects("booked")) >= count, "all events")
    for worker in fleet.workers:
        assert await worker.terminate() == 0
    source.dispose()
    fleet.assert_once("booked", range(count))
    assert fleet.query("SELECT sum(duplicates) + sum(stale) + sum(parked) FROM warren_stats") == [(0,)]


def test_the_outbox_is_for_whatever_writes_with_sqlalchemy() -> None:
    """What `GuestSession` names can be imported where the annotation is read."""
    from typing import get_type_hints

    from engine.storage.guest import Guest

    hints: dict[str, Any] = get_type_hints(Guest.put)
    assert Session in hints["session"].__args__
