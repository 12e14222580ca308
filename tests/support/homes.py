"""A fleet of real worker processes at each home: every broker with every database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.amqp import delete
from tests.support.tally import PROPERTY
from tests.support.workers import Fleet

#: The broker and the database of each home. A death is proven in an instant on SQLite and in 15 s on PostgreSQL.
NAMES = ("embedded-sqlite", "rabbitmq-sqlite", "embedded-postgres", "rabbitmq-postgres")
HOMES = [pytest.param(name, marks=pytest.mark.slow if "postgres" in name else ()) for name in NAMES]


def each_home(cases: Iterable[Any], quick: Callable[[str, Any], bool]) -> list[Any]:
    """Each case at each home, for `parametrize` with `indirect=["fleet"]`; what is not `quick` is slow."""
    return [
        pytest.param(home, case, marks=() if quick(home, case) else pytest.mark.slow)
        for case in cases
        for home in NAMES
    ]


@asynccontextmanager
async def home(request: pytest.FixtureRequest, kind: str, folder: Path, app: str) -> AsyncIterator[Fleet]:
    """A fleet at this home; what it made on a shared broker is deleted in the end."""
    broker, _, database = kind.partition("-")
    shared = request.getfixturevalue("amqp_url") if broker == "rabbitmq" else None
    url = request.getfixturevalue("postgres_url") if database == "postgres" else None
    if url is not None:
        await migrate(url)
    async with settled(request, Fleet(folder, shared or f"embedded://{folder}/broker.db", app, url), shared) as fleet:
        yield fleet


async def migrate(url: str) -> None:
    """Make the tables: on PostgreSQL that is the operator's step, and no worker does it."""
    from engine.storage.database import Database

    await (await Database.open(url, migrate=True)).close()


@asynccontextmanager
async def settled(request: pytest.FixtureRequest, fleet: Fleet, shared: str | None = None) -> AsyncIterator[Fleet]:
    """The fleet, ended and counted in the end. What it made is deleted from the broker `shared`, if one is named."""
    try:
        yield fleet
    finally:
        await fleet.end()
        request.node.user_properties.append((PROPERTY, dict(fleet.tally.counts)))
    if shared is not None:
        await delete(shared, queues_of(fleet), [f"{fleet.app}.events", f"{fleet.app}.dlx"])


def queues_of(fleet: Fleet) -> list[str]:
    """All queues that the workers of a fleet declared."""
    from engine.model.topology import delay_topology

    names = [queue.name for queue in delay_topology(fleet.app).queues]
    for (queue,) in fleet.query("SELECT queue FROM warren_queues"):
        names += [queue, f"{queue}.dlq"]
    return names
