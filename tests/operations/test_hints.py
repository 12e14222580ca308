"""A command that runs once tries nothing again, and does not say that it does."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlsplit

import pytest

from engine.brokers.rabbitmq.broker import RabbitBroker
from engine.errors import BrokerUnavailable, DatabaseUnavailable, WarrenError
from engine.operations.writing import write
from engine.storage import writer
from engine.storage.database import Database
from engine.storage.filelock import FileLock
from engine.storage.pen import lock_path
from engine.testing.proxy import Proxy
from tests.brokers.rabbitmq.conftest import to

PROMISE = re.compile("tried again|trying again|goes on by itself|is kept", re.IGNORECASE)


def promises(error: WarrenError) -> bool:
    return PROMISE.search(f"{error.message} {error.hint}") is not None


async def test_a_database_that_does_not_take_a_write(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 0.1)
    lock = FileLock(lock_path(database.address.path))
    await asyncio.to_thread(lock.acquire)
    try:
        with pytest.raises(DatabaseUnavailable, match="has not answered") as caught:
            await write(database, lambda connection: connection.exec_driver_sql("SELECT 1").scalar(), patience=0.5)
    finally:
        lock.release()
        lock.close()
    assert caught.value.hint
    assert not promises(caught.value)


async def test_a_broker_that_goes_away(amqp_url: str, app: str) -> None:
    parts = urlsplit(amqp_url)
    async with Proxy(parts.hostname or "", parts.port or 0) as proxy:
        broker = RabbitBroker(f"amqp://guest:guest@127.0.0.1:{proxy.port}/", app=app, timeout=0.5)
        await broker.connect()
        await proxy.refuse()
        errors = [*await broker.publish([to(app)])]
        for call in (broker.depths([app]), broker.delete_queue(app)):
            with pytest.raises(BrokerUnavailable) as caught:
                await call
            errors.append(caught.value)
        await broker.close()
    for error in errors:
        assert isinstance(error, BrokerUnavailable)
        assert error.hint
        assert not promises(error)
