"""Projections on a real log, on SQLite and PostgreSQL: each event once, in order, whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Field, SQLModel, col, select

from engine import AsyncSession, Context, Event, EventData, PluginError, handler, projection
from engine.model.codec import to_message
from engine.model.event import new_event
from engine.model.outgoing import Kind, Outgoing
from engine.runtime import clock, projector
from engine.runtime.projection_calls import bind_projection
from engine.storage import event_log
from engine.storage.engines import writing_engine
from engine.storage.urls import parse
from engine.testing.harness import Harness
from engine.testing.projecting import Projected


class Placed(EventData, type="order.placed", aggregate="order", key="order_id"):
    order_id: str
    total: int = 1
    note: str = ""


class Shipped(EventData, type="order.shipped", aggregate="order", key="order_id"):
    order_id: str
    revision: int = 1


class OrderView(SQLModel, table=True):
    __tablename__ = "order_view"

    order_id: str = Field(primary_key=True)
    state: str = Field(index=True)
    events: int = 0


#: Payloads at which `orders` raises.
broken: set[str] = set()


@pytest.fixture(autouse=True)
def _whole() -> Iterator[None]:
    broken.clear()
    yield
    broken.clear()


@projection(Placed, Shipped, tables=[OrderView], batch=10)
async def orders(events: list[Event[Placed | Shipped]], session: AsyncSession) -> None:
    for event in events:
        found = (await session.exec(select(OrderView).where(col(OrderView.order_id) == event.data.order_id))).first()
        row = found or OrderView(order_id=event.data.order_id, state="")
        row.state, row.events = event.type, row.events + 1
        session.add(row)
        if event.data.order_id in broken:
            raise ValueError(f"no way to {event.data.order_id}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/warren.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def projected(database_url: str) -> AsyncIterator[Projected]:
    async with Projected(orders, database=database_url) as made:
        yield made


async def states(projected: Projected, suffix: str = "") -> dict[str, tuple[str, int]]:
    return {row.order_id: (row.state, row.events) for row in await projected.rows(OrderView, suffix=suffix)}


async def test_each_event_is_applied_once_and_in_order(projected: Projected) -> None:
    await projected.given(Placed(order_id="a"), Placed(order_id="b"), Shipped(order_id="a"))
    assert await states(projected) == {"a": ("order.shipped", 2), "b": ("order.placed", 1)}
    await projected.given(*(Shipped(order_id=f"n{number}") for number in range(35)))
    assert len(await states(projected)) == 37
    (stands,) = await projected.checkpoints()
    assert (stands.applied, stands.position, stands.stale) == (38, 38, 0)


async def test_events_of_other_types_are_passed_by(projected: Projected) -> None:
    class Other(EventData, type="other.thing"):
        pass

    await projected.given(Other(), Placed(order_id="a"), Other(), Other())
    (stands,) = await projected.checkpoints()
    assert (stands.applied, stands.position) == (1, 2)


async def test_an_event_is_projected_whatever_its_size(projected: Projected) -> None:
    await projected.given(Placed(order_id="o-1", note="x" * 2_000_000))
    (stands,) = await projected.checkpoints()
    assert (stands.applied, stands.failing) == (1, False)


async def test_it_stops_at_the_one_event_that_fails_and_goes_on_when_that_works(projected: Projected) -> None:
    broken.add("n13")
    await projected.append(*(Placed(order_id=f"n{number}") for number in range(30)))
    await projected.project()
    (stands,) = await projected.checkpoints()
    assert (stands.applied, stands.failed_position, stands.attempts) == (13, 14, 1)
    assert (stands.failed_type, stands.error) == ("order.placed", "ValueError: no way to n13")
    assert set(await states(projected)) == {f"n{number}" for number in range(13)}
    await projected.project()
    assert (await projected.checkpoints())[0].attempts == 1  # not before its time
    broken.clear()
    await projected.database.write(
        lambda connection: connection.execute(text("UPDATE warren_projections SET retry_at = 0"))
    )
    await projected.given()
    assert len(await states(projected)) == 30


async def test_a_table_that_is_not_declared_is_not_written(database_url: str) -> None:
    @projection(Placed, tables=[OrderView])
    async def wrong(event: Event[Placed], session: AsyncSession) -> None:
        await session.execute(text("UPDATE warehouse SET stock = 0"))

    async with Projected(wrong, database=database_url) as projected:
        with pytest.raises(AssertionError, match=r"wrong writes warehouse.*, which is none of its tables"):
            await projected.given(Placed(order_id="a"))


async def test_a_payload_that_its_model_refuses_stops_it_too(projected: Projected) -> None:
    odd: Event[Any] = Event({"nothing": 1}, "order.placed", "e-odd", clock.utc())
    await projected.append(Placed(order_id="a"), odd, Placed(order_id="b"))
    await projected.project()
    (stands,) = await projected.checkpoints()
    assert (stands.applied, stands.failed_event) == (1, "e-odd")
    assert "data.order_id: Field required" in stands.error


def test_what_cannot_be_is_refused() -> None:
    @projection(Placed)
    async def emits(event: Event[Placed], ctx: Context) -> None: ...

    with pytest.raises(PluginError, match="projection emits nothing"):
        bind_projection(emits.__warren_projection__)  # type: ignore[attr-defined]
    with pytest.raises(PluginError, match="is not a table"):
        projection(Placed, tables=[Placed])
    with pytest.raises(PluginError, match="key= means nothing"):
        projection(Placed, key="order_id")
    with pytest.raises(PluginError, match="async def"):

        @projection(Placed)
        def plain(event: Event[Placed]) -> None: ...


async def test_it_wakes_when_its_own_process_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "LOOK", 3600.0)

    class Wanted(EventData, type="order.wanted"):
        order_id: str

    @handler(Wanted)
    async def place(event: Event[Wanted], ctx: Context) -> None:
        ctx.emit(Placed(order_id=event.data.order_id))

    async with Harness(place, orders) as harness:
        while "order_view" not in [name for (name,) in await harness.sql("SELECT name FROM sqlite_master")]:
            await asyncio.sleep(0.01)  # it has begun, and found the log empty
        await harness.publish(Wanted(order_id="a"))
        async with asyncio.timeout(30):
            while await harness.sql("SELECT order_id FROM order_view") != [("a",)]:
                await asyncio.sleep(0.01)


async def test_an_event_that_is_committed_late_is_not_passed_by(postgres_url: str) -> None:
    async with Projected(orders, database=postgres_url) as projected:
        slow = writing_engine(parse(postgres_url))
        with slow.connect() as connection:
            late = new_event(Placed(order_id="late"), id="late", now=clock.utc())
            row = Outgoing("row", Kind.EMIT, "events", late.type, to_message(late), False, None, 0.0)
            event_log.append(connection, [event_log.emitted(row, late, "")], now=clock.now())
            await projected.given(Shipped(order_id="late"))
            assert await states(projected) == {}
            connection.commit()
        slow.dispose()
        await projected.given()
        assert await states(projected) == {"late": ("order.shipped", 2)}
