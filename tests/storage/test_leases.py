from __future__ import annotations

import asyncio

from sqlalchemy import Connection

from engine.storage import leases
from engine.storage.database import Database


def never(worker: str) -> bool:
    raise AssertionError(f"nobody needs to know whether {worker} is alive")


async def take(database: Database, owner: str, *, alive: bool | None = None, name: str = "intake") -> int | None:
    def known(worker: str) -> bool:
        return never(worker) if alive is None else alive

    return await database.write(lambda connection: leases.take(connection, name, owner, known, now=1.0))


async def test_a_lease_has_one_owner_while_it_lives(database: Database) -> None:
    assert await take(database, "one") == 1
    assert await take(database, "one") == 1
    assert await take(database, "two", alive=True) is None
    assert await take(database, "two", name="another") == 1
    assert await database.read(leases.holders) == {"another": "two", "intake": "one"}


async def test_the_lease_of_the_dead_is_taken_under_a_new_token(database: Database) -> None:
    first = await take(database, "one")
    second = await take(database, "two", alive=False)
    assert (first, second) == (1, 2)

    def check(connection: Connection) -> list[bool]:
        return [leases.check(connection, "intake", token) for token in (1, 2, 3)]

    assert await database.write(check) == [False, True, False]
    assert not await database.write(lambda connection: leases.check(connection, "no such", 1))


async def test_a_lease_is_given_back(database: Database) -> None:
    await take(database, "one")
    await take(database, "one", name="relay")
    await database.write(lambda connection: leases.release(connection, "two"))
    await database.write(lambda connection: leases.release(connection, "one", "intake"))
    assert await database.read(leases.holders) == {"intake": None, "relay": "one"}
    assert not await database.write(lambda connection: leases.check(connection, "intake", 1))
    assert await take(database, "two") == 2
    await database.write(lambda connection: leases.release(connection, "one"))
    assert await take(database, "two", name="relay") == 2


async def test_of_many_who_ask_at_once_one_gets_it(database_url: str) -> None:
    databases = [await Database.open(database_url, migrate=True) for _ in range(4)]
    tokens = await asyncio.gather(
        *(take(database, f"w{number}", alive=True) for number, database in enumerate(databases))
    )
    assert sorted(token for token in tokens if token is not None) == [1]
    for database in databases:
        await database.close()
