"""Accounts of a bank on an engine of their own, whose events all go to one queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import text

from engine.model.topology import Binding, Exchange, Queue, Topology
from engine.runtime.application import Engine
from engine.storage import outbox
from engine.storage.database import Database
from handlers.bank import Account
from tests.support.workers import Fleet


@asynccontextmanager
async def engine_on(database: str | None, tmp_path: Path, app: str) -> AsyncIterator[Engine]:
    fleet = Fleet(tmp_path, f"embedded://{tmp_path}/broker.db", app, database)
    await (await Database.open(fleet.database, migrate=True)).close()
    async with Engine(fleet.settings()) as made:
        exchange = made.settings.exchange
        await made.broker.declare(Topology((Exchange(exchange),), (Queue("all"),), (Binding(exchange, "all", "#"),)))
        yield made


def database_of(engine: Engine) -> Database:
    assert engine._database is not None
    return engine._database


async def opened(engine: Engine, *ids: str, balance: int = 0) -> None:
    for name in ids:
        account = Account.open(name, "alice")
        if balance:
            account.deposit(Decimal(balance))
        await engine.repository(Account).save(account)


async def balances(engine: Engine, *ids: str) -> list[int]:
    return [int((await engine.repository(Account).load(name)).balance) for name in ids]


async def published(engine: Engine, count: int) -> None:
    """So many events must reach the queue, and no row may wait any more."""
    async with asyncio.timeout(20):
        while await database_of(engine).read(outbox.pending):
            await asyncio.sleep(0.01)
    depth = (await engine.broker.depths(["all"]))["all"]
    assert depth is not None
    assert depth.ready == count


async def write(engine: Engine, statement: str, **values: Any) -> None:
    await database_of(engine).write(lambda connection: connection.execute(text(statement), values))
