"""A fleet of real worker processes on each broker and, in `make faults`, on each database; an engine with accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.runtime.application import Engine
from tests.runtime.accounts import engine_on
from tests.support.homes import HOMES, home
from tests.support.workers import Fleet


@pytest.fixture(params=HOMES)
async def fleet(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> AsyncIterator[Fleet]:
    """Workers on a broker and a database that are this test's own, or shared under names of its own."""
    async with home(request, request.param, tmp_path, app) as made:
        yield made


@pytest.fixture
async def engine(tmp_path: Path, app: str) -> AsyncIterator[Engine]:
    """An engine on the embedded broker and SQLite, with a queue `all` that gets every event."""
    async with engine_on(None, tmp_path, app) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
async def either(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> AsyncIterator[Engine]:
    """The same on either database, for what the database has a say in."""
    database = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    async with engine_on(database, tmp_path, app) as made:
        yield made
