"""A replicated view of another service's customers: late, repeated and deleted, on SQLite and PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
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


class Patron(SQLModel, table=True):
    __tablename__ = "local_patron"

    number: int = Field(primary_key=True)
    name: str
    born: date | None = None
    seen: datetime | None = None
    credit: Decimal | None = None


patrons = replicated_view(Patron, upsert=["customer.#"], delete=["customer.closed"])


@pytest.fixture(params=["sqlite", "postgresql"])
async def library(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Projected]:
    sqlite = request.param == "sqlite"
    url: str = f"sqlite:///{tmp_path}/warren.db" if sqlite else request.getfixturevalue("postgres_url")
    async with Projected(patrons, database=url) as made:
        yield made


async def test_what_json_tells_is_read_as_the_table_has_it(library: Projected) -> None:
    told = {"born": "2001-02-03", "seen": "2026-01-02T03:04:05Z", "credit": "9.50"}
    await library.given(foreign("registered", "a", 1, number="7", name="Ann", **told))
    (row,) = await library.rows(Patron)
    assert (row.number, row.born, row.seen) == (7, date(2001, 2, 3), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert row.credit == Decimal("9.5")
    await library.given(foreign("closed", "a", 2, number="7"))
    assert await library.rows(Patron) == []


async def test_an_event_that_tells_a_part_changes_the_row_that_is_there(library: Projected) -> None:
    await library.given(
        foreign("registered", "a", 1, number=7, name="Ann"), foreign("registered", "b", 1, number=8, name="Bob")
    )
    await library.given(foreign("paid", "a", 2, number=7, credit="1.00"), foreign("noted", "b", 2, number=8))
    assert [(row.name, row.credit) for row in await library.rows(Patron)] == [("Ann", 1), ("Bob", None)]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (
            {"number": 7, "credit": "1.00"},
            "no row of this number that the event could change, and it does not tell name",
        ),
        ({"number": 7, "name": 5}, "does not fit the table local_patron: name: Input should be a valid string"),
        (
            {"number": "seven", "name": "Ann"},
            "does not fit the table local_patron: number: Input should be a valid int",
        ),
        ({"number": 7, "name": "Ann", "born": "soon"}, "does not fit the table local_patron: born: "),
        ({"name": "Ann"}, "has neither a field number nor an aggregate id"),
    ],
)
async def test_an_event_that_does_not_fit_stops_it_and_says_why(
    library: Projected, data: dict[str, Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    event = foreign("registered", "a", 1)
    with pytest.raises(
        AssertionError, match=f"stands at event 1, customer.registered {event.id}: DecodingError: .*{why}"
    ):
        await library.given(replace(event, data=data))
    assert await library.rows(Patron) == []
    assert "Ann" not in caplog.text
    assert "soon" not in caplog.text


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
