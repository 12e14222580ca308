"""Delayed messages that can be cancelled: one judge, whatever comes at the same moment."""

from __future__ import annotations

import asyncio

from engine.storage import delayed
from engine.storage.database import Database
from engine.storage.delayed import KEEP_OPEN, KEEP_SENT, Fate


async def test_whoever_comes_first_decides(database: Database) -> None:
    await database.write(lambda connection: delayed.add(connection, {"a": 10.0, "b": 10.0}, 1.0))
    assert await database.write(lambda connection: delayed.cancel(connection, "a", 2.0))
    assert await database.write(lambda connection: delayed.send(connection, ["a", "b", "c"], 3.0)) == {
        "a": Fate.CANCELLED,
        "b": Fate.SENT,
    }
    assert not await database.write(lambda connection: delayed.cancel(connection, "b", 4.0))
    # Both say the same again, and a second copy changes nothing.
    await database.write(lambda connection: delayed.add(connection, {"a": 20.0, "b": 20.0}, 5.0))
    assert await database.write(lambda connection: delayed.cancel(connection, "a", 6.0))
    assert not await database.write(lambda connection: delayed.cancel(connection, "b", 6.0))
    assert not await database.write(lambda connection: delayed.cancel(connection, "unknown", 6.0))


async def test_an_event_is_never_both_sent_and_cancelled(database_url: str) -> None:
    """Several forwarders against several who cancel, at the same moment, each with a connection of its own."""
    here = await Database.open(database_url, migrate=True)
    there = await Database.open(database_url)
    count = 200
    ids = [f"event-{number}" for number in range(count)]
    await here.write(lambda connection: delayed.add(connection, dict.fromkeys(ids, 1.0), 0.0))

    async def forward(database: Database, chunk: list[str]) -> dict[str, Fate]:
        return await database.write(lambda connection: delayed.send(connection, chunk, 2.0))

    async def cancel(database: Database, event_id: str) -> bool:
        return await database.write(lambda connection: delayed.cancel(connection, event_id, 2.0))

    forwards = [
        forward(database, ids[start : start + 10]) for start in range(0, count, 10) for database in (here, there)
    ]
    cancels = [cancel(database, event_id) for event_id in reversed(ids) for database in (there, here)]
    mixed = [work for pair in zip(cancels[: len(forwards)], forwards, strict=True) for work in pair]
    answers = await asyncio.gather(*mixed, *cancels[len(forwards) :])
    fates = [answer for answer in answers if isinstance(answer, dict)]
    found = {event_id: fate for each in fates for event_id, fate in each.items()}
    assert all(found[event_id] is fate for each in fates for event_id, fate in each.items())
    for event_id in ids:
        assert await cancel(here, event_id) == (found[event_id] is Fate.CANCELLED)
    assert set(found.values()) == {Fate.SENT, Fate.CANCELLED}
    await there.close()
    await here.close()


async def test_what_was_decided_long_ago_is_forgotten(database: Database) -> None:
    now = 2 * KEEP_OPEN
    due = {"sent": 10.0, "sent lately": now - 10.0, "waiting": now - 10.0, "cancelled": now - 10.0, "never came": 10.0}
    await database.write(lambda connection: delayed.add(connection, due, 1.0))
    await database.write(lambda connection: delayed.send(connection, ["sent"], now - KEEP_SENT - 1))
    await database.write(lambda connection: delayed.send(connection, ["sent lately"], now - 5))
    await database.write(lambda connection: delayed.cancel(connection, "cancelled", 2.0))
    assert await database.write(lambda connection: delayed.prune(connection, now)) == 2
    assert await database.write(lambda connection: delayed.send(connection, due, now)) == {
        "sent lately": Fate.SENT,
        "waiting": Fate.SENT,
        "cancelled": Fate.CANCELLED,
    }
