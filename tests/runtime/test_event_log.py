"""What handlers, schedules and applications emit is in the log, with the transaction that promised to send it."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Session
from sqlmodel.ext.asyncio.session import AsyncSession as SQLModelSession

from engine import AsyncSession, Context, Event, EventData, every, handler
from engine.runtime.application import Engine
from engine.storage import event_search
from engine.storage.database import Database
from engine.storage.event_log import LoggedEvent, Origin
from engine.storage.event_search import EventFilter
from engine.testing.harness import Harness
from tests.runtime.events import Step
from tests.support.inprocess import own_settings
from tests.support.workers import Fleet


class Placed(EventData, type="order.placed", aggregate="order", key="order_id"):
    order_id: str


class Noted(EventData, type="order.noted", aggregate="order", key="order_id"):
    order_id: str
    by: str


@handler(Placed)
async def plain(event: Event[Placed], ctx: Context) -> None:
    ctx.emit(Noted(order_id=event.data.order_id, by="plain"))
    ctx.send(Noted(order_id=event.data.order_id, by="command"), queue="test.commands")


@handler(Placed)
async def with_session(event: Event[Placed], ctx: Context, session: AsyncSession) -> None:
    await session.execute(text("SELECT 1"))
    ctx.emit(Noted(order_id=event.data.order_id, by="session"))


@handler(Placed)
def in_thread(event: Event[Placed], ctx: Context) -> None:
    ctx.emit(Noted(order_id=event.data.order_id, by="thread"), delay=60)


@handler(Placed)
async def in_batch(events: list[Event[Placed]], ctx: Context) -> None:
    for event in events:
        ctx.emit(Noted(order_id=event.data.order_id, by="batch"), cause=event)


@handler(Placed)
async def failing(event: Event[Placed], ctx: Context) -> None:
    ctx.emit(Noted(order_id=event.data.order_id, by="nobody"))
    raise RuntimeError("no")


@handler(Noted, queue="test.commands")
async def commanded(event: Event[Noted]) -> None: ...


@every("1h")
def hourly() -> Placed:
    return Placed(order_id="hourly")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/warren.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


async def logged(database: Database) -> list[LoggedEvent]:
    """The log, oldest first."""
    rows = await database.read(lambda connection: event_search.search(connection, EventFilter(), limit=1000))
    return rows[::-1]


async def test_what_handlers_emit_is_logged_and_what_they_send_is_not(database_url: str, tmp_path: Path) -> None:
    handlers = (plain, with_session, in_thread, in_batch, failing, commanded)
    async with Harness(handlers, folder=tmp_path, database=database_url) as harness:
        placed = await harness.publish(Placed(order_id="42"))
        await harness.settle()
        rows = await logged(harness.database)
        begun = harness.clock.now()

    by_queue = {row.queue: row for row in rows}
    assert sorted(by_queue) == [
        f"test.test_event_log.{name}" for name in ("in_batch", "in_thread", "plain", "with_session")
    ]
    assert len(rows) == 4
    for row in rows:
        assert (row.event_type, row.origin, row.source) == ("order.noted", Origin.EMITTED, "test")
        assert (row.aggregate_type, row.aggregate_id, row.version) == ("order", "42", None)
        assert (row.correlation_id, row.causation_id) == (placed.correlation_id, placed.id)
        assert (row.exchange, row.routing_key) == ("events", "order.noted")
    due = {row.queue.rpartition(".")[2]: row.due for row in rows}
    assert due == {"plain": None, "with_session": None, "in_batch": None, "in_thread": pytest.approx(begun + 60, abs=5)}


async def test_the_log_can_be_switched_off() -> None:
    async with Harness(plain, with_session, commanded, event_log=False) as harness:
        await harness.publish(Placed(order_id="42"))
        await harness.settle()
        harness.emitted("order.noted", count=3)
        assert await logged(harness.database) == []


async def test_what_a_schedule_publishes_is_logged() -> None:
    async with Harness(plain, commanded, hourly, clock=datetime(2026, 11, 23, 10, 15, tzinfo=UTC)) as harness:
        await harness.advance(hours=2.5)
        rows = [row for row in await logged(harness.database) if row.event_type == "order.placed"]
    assert [(row.origin, row.queue, row.aggregate_id) for row in rows] == [(Origin.SCHEDULED, "", "hourly")] * 2


# --- the outbox of an application -----------------------------------------------------------


def driver_url(url: str, asynchronous: bool = False) -> str:
    sqlite = "sqlite+aiosqlite:" if asynchronous else "sqlite:"
    return url.replace("sqlite:", sqlite, 1).replace("postgresql:", "postgresql+psycopg:", 1)


async def test_what_goes_through_the_outbox_is_logged_with_its_transaction(
    database_url: str, tmp_path: Path, app: str
) -> None:
    settings = own_settings(tmp_path, app, database=database_url, migrate=True)
    sync, asynchronous = create_engine(driver_url(database_url)), create_async_engine(driver_url(database_url, True))
    async with Engine(settings) as engine:
        with Session(sync) as session:
            engine.outbox(session).add(Placed(order_id="1"), id="e-1")
            engine.outbox(session).send(Placed(order_id="2"), queue=f"{app}.due", id="command")
            with session.begin_nested() as savepoint:
                engine.outbox(session).add(Placed(order_id="3"), id="in vain")
                savepoint.rollback()
            session.commit()
            engine.outbox(session).add(Placed(order_id="4"), id="undone")
            session.flush()
            session.rollback()
            # The same event once more, as after a COMMIT whose answer was lost: no error, and one place in the log.
            engine.outbox(session).add(Placed(order_id="1"), id="e-1")
            engine.outbox(session).add(Placed(order_id="5"), id="e-5", delay=60)
            session.commit()
        async with SQLModelSession(asynchronous) as asyncsession:
            engine.outbox(asyncsession).add(Placed(order_id="6"), id="e-6", correlation_id="visit-7")
            await asyncsession.commit()
        with sync.begin() as connection:
            engine.outbox(connection).add(Placed(order_id="7"), id="e-7")
        database = await Database.open(database_url)
        rows = await logged(database)
        await database.close()
    sync.dispose()
    await asynchronous.dispose()
    assert [row.event_id for row in rows] == ["e-1", "e-5", "e-6", "e-7"]
    assert {row.origin for row in rows} == {Origin.PUBLISHED}
    assert [row.due is not None for row in rows] == [False, True, False, False]
    assert [row.correlation_id for row in rows] == ["e-1", "e-5", "visit-7", "e-7"]


async def test_an_application_can_switch_the_log_off(tmp_path: Path, app: str) -> None:
    settings = own_settings(tmp_path, app, event_log=False)
    sync = create_engine(settings.database_url)
    async with Engine(settings) as engine:
        with Session(sync) as session:
            engine.outbox(session).add(Placed(order_id="1"))
            session.commit()
        database = await Database.open(settings.database_url)
        assert await logged(database) == []
        await database.close()
    sync.dispose()


# --- crashes --------------------------------------------------------------------------------

PLUGIN = """
from sqlalchemy import text
from engine import AsyncSession, Context, Event, EventData, handler

class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int

class Effect(EventData, type="test.effect"):
    number: int

@handler(Step)
async def plain(event: Event[Step], ctx: Context) -> None:
    ctx.emit(Effect(number=event.data.number))

@handler(Step)
async def book(event: Event[Step], ctx: Context, session: AsyncSession) -> None:
    await session.execute(text("SELECT 1"))
    ctx.emit(Effect(number=event.data.number))
"""


@pytest.mark.faults
@pytest.mark.parametrize("point", ["handled:5", "committed:2"])
async def test_after_a_crash_an_event_is_in_log_and_outbox_or_in_neither(tmp_path: Path, app: str, point: str) -> None:
    fleet = Fleet(tmp_path, f"embedded://{tmp_path}/broker.db", app)
    try:
        plugin = fleet.plugin(PLUGIN)
        doomed = await fleet.start(plugin, WARREN_CRASH_AT=point)
        async with Engine(fleet.settings()) as engine:
            await engine.publish_many([Step(number=number) for number in range(20)])
        assert await doomed.ended() == -signal.SIGKILL, doomed.said()

        def ids(table: str, column: str) -> set[str]:
            return {value for (value,) in fleet.query(f"SELECT {column} FROM {table}")}

        log = ids("warren_events", "event_id")
        promised = ids("warren_outbox", "json_extract(publication, '$.message_id')")
        done = fleet.query("SELECT count(*) FROM warren_records WHERE state = 'done'")[0][0]
        # What the relay sent has left the outbox; it was in the log before.
        assert promised <= log
        assert len(log) == done
        assert bool(log) is (point == "committed:2")

        await fleet.start(plugin)
        await fleet.until(
            lambda: (
                fleet.query("SELECT count(*) FROM warren_events") == [(40,)]
                and fleet.query("SELECT count(*) FROM warren_outbox") == [(0,)]
            ),
            "the end of all messages",
        )
        assert log <= ids("warren_events", "event_id")
    finally:
        await fleet.end()
