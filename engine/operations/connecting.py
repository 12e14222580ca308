"""Doors to the database and the broker for whoever watches for long: they may be gone, and come again."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from engine.brokers import open_broker
from engine.brokers.base import Broker
from engine.errors import BrokerError
from engine.settings import Settings
from engine.storage.database import Database
from engine.storage.liveness import Liveness

__all__ = ("Broker", "Database", "Doors", "Liveness", "connect", "open_database")


class Doors(NamedTuple):
    """An open database, and the eye on who lives."""

    database: Database
    liveness: Liveness


@contextlib.asynccontextmanager
async def open_database(settings: Settings, *, read_only: bool = False) -> AsyncIterator[Doors]:
    """The database, open; a read-only one is not migrated. Raises a `DatabaseError` that says what to do."""
    database = await Database.open(settings.database_url, migrate=settings.migrate and not read_only)
    try:
        liveness = await Liveness.open(database, None)
        try:
            yield Doors(database, liveness)
        finally:
            await liveness.close()
    finally:
        await database.close(timeout=2.0)


@contextlib.asynccontextmanager
async def connect(
    settings: Settings, on_state: Callable[[BrokerError | None], None] = lambda _: None
) -> AsyncIterator[Broker]:
    """The broker, connected; from then on it reconnects by itself, and `on_state` hears of it.

    Raises `BrokerUnavailable` or `AccessRefused`.
    """

    def said(queue: str | None, error: BrokerError | None) -> None:
        if queue is None:
            on_state(error)

    broker = open_broker(settings.broker_url, app=settings.app)
    broker.on_state = said
    try:
        await broker.connect()
        yield broker
    finally:
        await broker.close()
