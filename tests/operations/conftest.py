"""A database with failures in it, as the intake of dead letters writes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.brokers.base import Broker
from engine.brokers.embedded import EmbeddedBroker
from engine.storage.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty SQLite database."""
    opened = await Database.open(f"sqlite:///{tmp_path}/warren.db", migrate=True)
    yield opened
    await opened.close()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """An empty embedded broker."""
    opened = EmbeddedBroker(tmp_path / "broker.db", app="shop", durable=False)
    await opened.connect()
    yield opened
    await opened.close()
