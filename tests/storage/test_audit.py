from __future__ import annotations

from engine.storage import audit
from engine.storage.audit import Entry
from engine.storage.database import Database


def entry(number: int, action: str = "redrive") -> Entry:
    return Entry(float(number), "me", action, f"because\0{number}", {"ids": [number, "é\0"]}, {"sent": number})


async def test_entries_come_back_newest_first_in_pages(database: Database) -> None:
    for number in range(5):
        await database.write(lambda connection, number=number: audit.append(connection, entry(number)))  # type: ignore[misc]
    first = await database.read(lambda connection: audit.list_entries(connection, limit=2))
    assert [found.at for found in first] == [4.0, 3.0]
    assert first[0].what == {"ids": [4, "é\0"]}
    assert first[0].why == "because\N{REPLACEMENT CHARACTER}4"
    rest = await database.read(lambda connection: audit.list_entries(connection, before=first[-1].id))
    assert [found.at for found in rest] == [2.0, 1.0, 0.0]


async def test_entries_of_one_kind(database: Database) -> None:
    await database.write(lambda connection: audit.append(connection, entry(1, "prune")))
    await database.write(lambda connection: audit.append(connection, entry(2)))
    found = await database.read(lambda connection: audit.list_entries(connection, action="prune"))
    assert [(each.at, each.action, each.outcome) for each in found] == [(1.0, "prune", {"sent": 1})]
