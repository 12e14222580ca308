"""Projections on a real log, on SQLite and PostgreSQL: each event once, in order, whatever fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Field, SQLModel, col, select

from engine import AsyncSession, Event, EventData, PluginError, projection
from engine.runtime import clock
from engine.testing.projecting import Projected


class Placed(EventData, type="order.placed", aggregate="order", key="order_id"):
    order_id: str
    total: int = 1


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
    with pytest.raises(PluginError, match="projection emits nothing"):
        from engine import Context

        @projection(Placed)
        async def emits(event: Event[Placed], ctx: Context) -> None: ...

        Projected(emits)
        from engine.runtime.projection_calls import bind_projection

        bind_projection(emits.__warren_projection__)  # type: ignore[attr-defined]
    with pytest.raises(PluginError, match="is not a table"):
        projection(Placed, tables=[Placed])
    with pytest.raises(PluginError, match="key= means nothing"):
        projection(Placed, key="order_id")
    with pytest.raises(PluginError, match="async def"):

        @projection(Placed)
        def plain(event: Event[Placed]) -> None: ...
