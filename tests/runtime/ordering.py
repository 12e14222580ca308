"""Handlers whose effects tell in which order they came, and what is checked of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from engine import EventData
from engine.storage.database import Database
from tests.support.workers import Fleet

#: What a plugin of these tests begins with: an event with a key, and a handler that writes down what it saw.
PLUGIN = """
import asyncio, os
from sqlalchemy import text
from engine import AsyncSession, Context, Event, EventData, RetryPolicy, handler

class Mark(EventData, type="test.mark", aggregate="lane", key="lane"):
    lane: str
    number: int

async def note(event, session):
    values = {"lane": event.data.lane, "number": event.data.number}
    await session.execute(text("INSERT INTO marks (lane, number) VALUES (:lane, :number)"), values)
"""


class Mark(EventData, type="test.mark", aggregate="lane", key="lane"):
    lane: str
    number: int


async def make_marks(fleet: Fleet) -> None:
    """The table that the handlers write into, in their order; no constraint would hide a double."""
    database = await Database.open(fleet.database, migrate=True)
    kind = "BIGSERIAL" if fleet.database.startswith("postgresql:") else "INTEGER"
    statement = f"CREATE TABLE marks (id {kind} PRIMARY KEY, lane TEXT, number INT)"
    await database.write(lambda connection: connection.exec_driver_sql(statement))
    await database.close()


def marks(fleet: Fleet) -> dict[str, list[int]]:
    """The numbers by lane, as they were written."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for lane, number in fleet.query("SELECT lane, number FROM marks ORDER BY id"):
        found[lane].append(number)
    return dict(found)


def assert_in_order(fleet: Fleet, published: Sequence[Mark]) -> None:
    """Of each lane everything had its effect once, in the order in which it was published."""
    wanted: defaultdict[str, list[int]] = defaultdict(list)
    for mark in published:
        wanted[mark.lane].append(mark.number)
    found = marks(fleet)
    assert found.keys() == wanted.keys()
    for lane, numbers in wanted.items():
        assert found[lane] == numbers, f"{lane}: {_first_difference(found[lane], numbers)}"


def _first_difference(found: list[int], wanted: list[int]) -> str:
    for at, (one, other) in enumerate(zip(found, wanted, strict=False)):
        if one != other:
            return f"at {at} came {found[at : at + 6]} where {wanted[at : at + 6]} were to come"
    return f"{len(found)} came where {len(wanted)} were to come"
