from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from engine.model.message import Message
from engine.model.outgoing import Kind, Outgoing
from engine.storage import outbox
from engine.storage.database import Database

WHOLE = Message(
    body=b"\x00\xff not text",
    headers={"n": 1, "bytes": b"\x00\xff", "nested": {"list": [1.5, None, True]}, "nul": "a\0b", "$bytes": "x"},
    message_id="id\0x",
    correlation_id="c",
    type="order.placed",
    app_id="shop",
    content_type="application/json",
    content_encoding="utf-8",
    reply_to="answers",
    timestamp=1763927837,
)


def row(row_id: str, message: Message = WHOLE, **changes: Any) -> Outgoing:
    return Outgoing(row_id, Kind.EMIT, "events", "order\0placed", message, True, None, 1000.25)._replace(**changes)


async def add(database: Database, owner: str | None, *rows: Outgoing) -> None:
    await database.write(lambda connection: outbox.add(connection, owner, rows))


async def adopt(database: Database, owner: str, dead: Sequence[str] = (), limit: int = 100) -> list[Outgoing]:
    return await database.write(lambda connection: outbox.adopt(connection, owner, dead, limit))


async def test_a_row_comes_back_as_it_was(database: Database) -> None:
    rows = [
        row("1"),
        row("2", Message(b""), kind=Kind.RETRY, exchange="", mandatory=False, due=1e9 + 0.125),
        row("3", Message(b"{}", {"at": datetime(2026, 1, 1, tzinfo=UTC), "sum": Decimal("1.10")})),  # type: ignore[dict-item]
    ]
    await add(database, None, *rows)
    assert await adopt(database, "me") == rows


async def test_a_row_is_added_once(database: Database) -> None:
    await add(database, None, row("1"))
    await add(database, "me", row("1", Message(b"other")), row("2"))
    assert await database.read(outbox.pending) == 2
    assert [each.message.body for each in await adopt(database, "me")] == [WHOLE.body]


async def test_rows_are_removed(database: Database) -> None:
    await add(database, "me", *(row(f"{number:03}") for number in range(300)))
    await database.write(lambda connection: outbox.remove(connection, [f"{number:03}" for number in range(299)]))
    await database.write(lambda connection: outbox.remove(connection, []))
    assert await database.read(outbox.pending) == 1


async def test_only_the_rows_of_nobody_and_of_the_dead_are_adopted(database: Database) -> None:
    await add(database, "dead", row("1"), row("4"))
    await add(database, "alive", row("2"))
    await add(database, None, row("3"))
    await add(database, "me", row("5"))
    assert set(await database.read(outbox.owners)) == {"dead", "alive", "me", None}
    assert [each.id for each in await adopt(database, "me", ["dead"], limit=2)] == ["1", "3"]
    assert [each.id for each in await adopt(database, "me", ["dead"])] == ["4"]
    assert await adopt(database, "me", ["dead"]) == []
    assert set(await database.read(outbox.owners)) == {"alive", "me"}


async def test_two_who_adopt_at_once_share_without_waiting(postgres_url: str) -> None:
    database = await Database.open(postgres_url, migrate=True)
    await add(database, None, row("1"), row("2"))
    session = database.session()
    connection = await session.connection()
    first = await connection.run_sync(lambda sync: outbox.adopt(sync, "one", [], 1))
    second = await adopt(database, "two")
    await session.finish(lambda sync: None)
    assert [[each.id for each in rows] for rows in (first, second)] == [["1"], ["2"]]
    await database.close()


async def test_the_oldest(database: Database) -> None:
    assert await database.read(outbox.oldest) is None
    await add(database, "me", row("2", created=20.0), row("1", created=10.0))
    assert await database.read(outbox.oldest) == 10.0


async def test_adopting_reads_no_rows_of_the_living(sqlite_database: Database) -> None:
    await add(sqlite_database, "alive", *(row(f"{number:04}") for number in range(50)))

    def plan(connection: Connection) -> str:
        statement = (
            "EXPLAIN QUERY PLAN SELECT * FROM warren_outbox WHERE owner IS NULL OR owner IN ('a', 'b') ORDER BY id"
        )
        return " ".join(found[3] for found in connection.execute(text(statement)))

    assert "SCAN" not in await sqlite_database.read(plan)
