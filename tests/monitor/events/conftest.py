"""A bank whose accounts are streams, with a read model of their balances, and a worker that runs it in the test's own process."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine import ANY_VERSION, Settings, StreamId
from engine.operations.project import Project
from engine.runtime.application import Engine
from engine.runtime.worker import Worker
from engine.storage.database import Database
from tests.support.inprocess import own_settings, working

PLUGIN = """
from pathlib import Path

from sqlmodel import Field, SQLModel

from engine import Aggregate, AsyncSession, Event, EventData, applies, handler, projection


class Opened(EventData, type="account.opened", aggregate="account", key="account_id"):
    account_id: str
    owner: str


class Deposited(EventData, type="account.deposited", aggregate="account", key="account_id"):
    account_id: str
    cents: int


class Account(Aggregate, type="account", snapshot_every=100):
    owner: str = ""
    cents: int = 0
    api_key: str = "k-secret"

    def open(self, owner: str) -> None:
        self.emit(Opened(account_id=self.id, owner=owner))

    def deposit(self, cents: int) -> None:
        self.emit(Deposited(account_id=self.id, cents=cents))

    @applies(Opened)
    def _opened(self, event: Opened) -> None:
        self.owner = event.owner

    @applies(Deposited)
    def _deposited(self, event: Deposited) -> None:
        if event.cents == 666:
            raise ValueError("no such money")
        self.cents += event.cents


class Balance(SQLModel, table=True):
    __tablename__ = "TABLE"
    account_id: str = Field(primary_key=True)
    cents: int = 0


@projection(Deposited, tables=[Balance])
async def balances(event: Event[Deposited], session: AsyncSession) -> None:
    if event.data.cents == 13:
        raise ValueError("an unlucky number")
    row = await session.get(Balance, event.data.account_id) or Balance(account_id=event.data.account_id)
    row.cents += event.data.cents
    session.add(row)


@handler(Deposited)
async def thank(event: Event[Deposited]) -> None:
    with (Path(__file__).parent.parent / "thanks").open("a") as file:
        file.write(f"{event.data.cents}\\n")
"""


class Bank:
    """Accounts, and the worker that looks after them."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.plugin = folder / "handlers" / "bank.py"
        self.plugin.parent.mkdir()
        self.plugin.write_text(PLUGIN.replace("TABLE", f"balance_{settings.app.replace('-', '_')}"))
        self.worker: Worker

    @property
    def thanks(self) -> list[int]:
        """What was thanked for, in order."""
        file = self.folder / "thanks"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    async def deposit(self, account: str, *cents: int) -> None:
        """Put money in; the account is opened first. Each is saved by itself."""
        kind = Project.load(self.settings).aggregate("account")
        assert isinstance(kind, type)
        async with Engine(self.settings) as engine:
            accounts: Any = engine.repository(kind)
            found: Any
            for each in cents:
                found = await accounts.find(account) or kind.new(account)
                if found.version == 0:
                    found.open("ann")
                found.deposit(each)
                await accounts.save(found, correlation_id=f"visit-{each}")

    async def misuse(self, account: str, cents: int) -> None:
        """Append a deposit that the aggregate would refuse to apply."""
        kind = Project.load(self.settings).aggregate("account")
        assert isinstance(kind, type)
        deposited = sys.modules[kind.__module__].Deposited(account_id=account, cents=cents)
        async with Engine(self.settings) as engine:
            await engine.event_log().append(StreamId("account", account), deposited, expected=ANY_VERSION)


@asynccontextmanager
async def opened(settings: Settings, folder: Path) -> AsyncIterator[Bank]:
    """The bank of these settings, with its worker."""
    bank = Bank(settings, folder)
    async with working(settings, bank.plugin) as worker:
        bank.worker = worker
        yield bank


@pytest.fixture
async def bank(tmp_path: Path, app: str) -> AsyncIterator[Bank]:
    """The bank on the embedded broker and SQLite."""
    async with opened(own_settings(tmp_path, app), tmp_path) as found:
        yield found


@pytest.fixture
async def bank_on_postgres(tmp_path: Path, app: str, postgres_url: str) -> AsyncIterator[Bank]:
    """The bank on PostgreSQL."""
    settings = own_settings(tmp_path, app, database=postgres_url)
    await (await Database.open(settings.database_url, migrate=True)).close()
    async with opened(settings, tmp_path) as found:
        yield found
