"""A replicated view of another service's customers: late, repeated and deleted, on SQLite and PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Field, SQLModel

from engine import AsyncSession, Event, EventData, PluginError, handler, replicated_view
from engine.runtime import clock
from engine.testing.harness import Harness
from engine.testing.projecting import Projected


class Moved(EventData, type="customer.moved"):
    customer_id: str
    city: str
    revision: int
    stranger: str = "not a column"


class Customer(SQLModel, table=True):
    __tablename__ = "local_customer"

    customer_id: str = Field(primary_key=True)
    name: str = ""
    city: str = ""


class Supplier(SQLModel, table=True):
    __tablename__ = "local_supplier"

    customer_id: str = Field(primary_key=True)
    name: str = ""
    city: str = ""


customers = replicated_view(
    Customer, upsert=["customer.registered", Moved], delete=["customer.closed"], versions="revision"
)
numbers = itertools.count()


def foreign(type: str, customer: str, revision: int, **data: Any) -> Event[Any]:
    return Event(
        {"customer_id": customer, "revision": revision, **data}, f"customer.{type}", f"e-{next(numbers)}", clock.utc()
    )


@pytest.fixture(params=["sqlite", "postgresql"])
async def projected(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Projected]:
    sqlite = request.param == "sqlite"
    url: str = f"sqlite:///{tmp_path}/warren.db" if sqlite else request.getfixturevalue("postgres_url")
    async with Projected(customers, database=url) as made:
        yield made


async def seen(projected: Projected) -> dict[str, tuple[str, str]]:
    return {row.customer_id: (row.name, row.city) for row in await projected.rows(Customer)}


async def test_late_and_repeated_events_are_left_out_and_counted(projected: Projected) -> None:
    await projected.given(
        foreign("registered", "a", 1, name="Ann", city="Rome"),
        foreign("moved", "a", 3, city="Bonn"),
        foreign("moved", "a", 2, city="Oslo"),
        foreign("moved", "a", 3, city="Bonn"),
        foreign("registered", "b", 1, name="Bob", city="Nice"),
    )
    assert await seen(projected) == {"a": ("Ann", "Bonn"), "b": ("Bob", "Nice")}
    (stands,) = await projected.checkpoints()
    assert (stands.applied, stands.stale) == (3, 2)


async def test_what_comes_late_does_not_bring_back_what_was_deleted(projected: Projected) -> None:
    await projected.given(foreign("registered", "a", 1, name="Ann"), foreign("closed", "a", 5))
    await projected.given(foreign("moved", "a", 4, city="Oslo"))
    assert await seen(projected) == {}
    again = (
        foreign("registered", "a", 6, name="Ann"),
        foreign("closed", "a", 7),
        foreign("registered", "a", 8, city="Ulm"),
    )
    await projected.given(*again)
    assert await seen(projected) == {"a": ("", "Ulm")}


async def test_the_journal_feeds_it_and_a_handler_may() -> None:
    suppliers = replicated_view(
        Supplier, upsert=["supplier.*"], versions="revision", name="suppliers", key="customer_id"
    )

    @handler("supplier.*")
    async def follow(events: list[Event[dict[str, Any]]], session: AsyncSession) -> None:
        await suppliers.apply(events, session)

    async with Harness(customers, follow, journal=["customer.*"]) as harness:
        await harness.sql("CREATE TABLE local_supplier (customer_id TEXT PRIMARY KEY, name TEXT, city TEXT)")
        for revision, city in ((2, "Bonn"), (1, "Rome"), (2, "Oslo")):
            data = {"customer_id": "a", "revision": revision, "city": city}
            await harness.publish("customer.moved", data)
            await harness.publish("supplier.moved", data)
            await harness.settle()
        assert await harness.sql("SELECT customer_id, city FROM local_customer") == [("a", "Bonn")]
        assert await harness.sql("SELECT customer_id, city FROM local_supplier") == [("a", "Bonn")]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(PluginError, match="has no column nothing"):
        replicated_view(Customer, upsert=["customer.#"], key="nothing")
    with pytest.raises(PluginError, match="is not a table"):
        replicated_view(Moved, upsert=["customer.#"])
