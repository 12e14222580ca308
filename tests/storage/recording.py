"""A section of the group writer that keeps what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, text

from engine.storage.database import Database

Apply = Callable[[Connection, Sequence[str]], Sequence[str]]


def insert(connection: Connection, items: Sequence[str]) -> Sequence[str]:
    connection.execute(
        text("INSERT INTO warren_meta (key, value) VALUES (:key, 'item')"), [{"key": item} for item in items]
    )
    return [item.upper() for item in items]


class Recorder:
    """A section that keeps what it was told."""

    def __init__(self, apply: Apply = insert, name: str = "recorder") -> None:
        self.name = name
        self.groups: list[list[str]] = []
        self.results: list[str] = []
        self.failures: dict[str, Exception] = {}
        self.told = asyncio.Event()
        self._apply = apply

    def apply(self, connection: Connection, items: Sequence[str], /) -> Sequence[str]:
        return self._apply(connection, items)

    def done(self, items: Sequence[str], results: Sequence[str], /) -> None:
        self.groups.append(list(items))
        self.results.extend(results)
        self.told.set()

    def failed(self, item: str, error: Exception, /) -> None:
        self.failures[item] = error
        self.told.set()

    async def hears(self) -> None:
        async with asyncio.timeout(20):
            await self.told.wait()
        self.told.clear()


async def stored(database: Database) -> set[str]:
    statement = text("SELECT key FROM warren_meta WHERE value = 'item'")
    return await database.read(lambda connection: set(connection.scalars(statement)))
