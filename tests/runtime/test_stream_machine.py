"""Whatever happens in whatever order, folding the log gives the state that is kept beside it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from engine.errors import ConcurrencyConflict, DatabaseUnavailable
from engine.runtime.application import Engine
from engine.storage.database import Database
from handlers.bank import Account, InsufficientFunds
from tests.runtime.test_promising import ASYNC, url_of
from tests.support.workers import Fleet

NAMES = st.sampled_from(["a", "b", "c"])
AMOUNTS = st.integers(1, 20)
_runs = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def bank(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> Iterator[tuple[asyncio.Runner, Engine, Any]]:
    """An event loop, an engine, and another program's way to the same database."""
    database = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    fleet = Fleet(tmp_path, f"embedded://{tmp_path}/broker.db", app, database)

    async def migrated() -> None:
        await (await Database.open(fleet.database, migrate=True)).close()

    with asyncio.Runner() as runner:
        runner.run(migrated())
        engine = Engine(fleet.settings())
        runner.run(engine.__aenter__())
        source = create_async_engine(url_of(fleet.database, ASYNC))
        yield runner, engine, source
        runner.run(source.dispose())
        runner.run(engine.__aexit__(None, None, None))


class Bank(RuleBasedStateMachine):
    """Accounts in the log, and beside them what they must come to: balance and number of events."""

    def __init__(self, runner: asyncio.Runner, engine: Engine, source: Any) -> None:
        super().__init__()
        self.prefix = f"{next(_runs)}-"
        self.run, self.engine, self.source = runner.run, engine, source
        self.accounts = engine.repository(Account)
        self.beside: dict[str, tuple[int, int]] = {}
        self.held: dict[str, Account] = {}

    @rule(name=NAMES)
    def open(self, name: str) -> None:
        account = Account.open(self.prefix + name, "alice")
        if name in self.beside:
            with pytest.raises(ConcurrencyConflict):
                self.run(self.accounts.save(account))
        else:
            self.run(self.accounts.save(account))
            self.beside[name] = (0, 1)

    @precondition(lambda self: self.beside)
    @rule(data=st.data(), amounts=st.lists(AMOUNTS, min_size=1, max_size=8), lost=st.booleans())
    def deposit_by_many(self, data: st.DataObject, amounts: list[int], lost: bool) -> None:
        """Concurrent writers on one account; perhaps the answer to a COMMIT is lost."""
        name = data.draw(st.sampled_from(sorted(self.beside)))

        async def work() -> None:
            if lost:
                _lose_an_answer(self.engine)
            await asyncio.gather(
                *(self.accounts.update(_deposits(amount), self.prefix + name, attempts=200) for amount in amounts)
            )

        self.run(work())
        self._moved(name, sum(amounts), len(amounts))

    @precondition(lambda self: len(self.beside) > 1)
    @rule(data=st.data(), amount=AMOUNTS)
    def transfer(self, data: st.DataObject, amount: int) -> None:
        source, target = data.draw(st.permutations(sorted(self.beside)))[:2]

        def move(one: Account, other: Account) -> None:
            other.deposit(Decimal(amount))
            one.withdraw(Decimal(amount))

        moving = self.accounts.update(move, self.prefix + source, self.prefix + target)
        if amount > self.beside[source][0]:
            with pytest.raises(InsufficientFunds):
                self.run(moving)
        else:
            self.run(moving)
            self._moved(source, -amount, 1)
            self._moved(target, amount, 1)

    @precondition(lambda self: self.beside)
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        """Somebody loads an account, and takes his time."""
        name = data.draw(st.sampled_from(sorted(self.beside)))
        self.held[name] = self.run(self.accounts.load(self.prefix + name))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), amount=AMOUNTS)
    def save_what_was_held(self, data: st.DataObject, amount: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.held)))
        account = self.held.pop(name)
        account.deposit(Decimal(amount))
        if account.version == self.beside[name][1]:
            self.run(self.accounts.save(account))
            self._moved(name, amount, 1)
        else:
            with pytest.raises(ConcurrencyConflict):
                self.run(self.accounts.save(account))

    @precondition(lambda self: self.beside)
    @rule(data=st.data(), amounts=st.lists(AMOUNTS, min_size=1, max_size=4), crash=st.booleans())
    def another_program(self, data: st.DataObject, amounts: list[int], crash: bool) -> None:
        """Deposits in a transaction of the application's own, which commits or dies."""
        name = data.draw(st.sampled_from(sorted(self.beside)))

        async def work() -> None:
            async with AsyncSession(self.source) as session:
                accounts = self.engine.repository(Account, session)
                for amount in amounts:
                    await accounts.update(_deposits(amount), self.prefix + name)
                if not crash:
                    await session.commit()

        self.run(work())
        if not crash:
            self._moved(name, sum(amounts), len(amounts))

    @precondition(lambda self: self.beside)
    @rule(data=st.data())
    def snapshot(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.beside)))

        async def work() -> None:
            await self.accounts.snapshot(await self.accounts.load(self.prefix + name))

        self.run(work())

    @precondition(lambda self: self.beside)
    @rule(data=st.data())
    def as_it_was(self, data: st.DataObject) -> None:
        """Any version is the fold of the events up to it."""
        name = data.draw(st.sampled_from(sorted(self.beside)))
        version = data.draw(st.integers(1, self.beside[name][1]))

        async def work() -> tuple[Decimal, Decimal]:
            balance = Decimal(0)
            async for entry in self.accounts.history(self.prefix + name):
                if entry.version is not None and entry.version <= version and "amount" in entry.event.data:
                    sign = 1 if entry.event.type == "account.deposited" else -1
                    balance += sign * Decimal(entry.event.data["amount"])
            return balance, (await self.accounts.load(self.prefix + name, version=version)).balance

        by_hand, loaded = self.run(work())
        assert by_hand == loaded

    @invariant()
    def folding_the_log_gives_what_is_beside_it(self) -> None:
        async def look() -> dict[str, tuple[int, int]]:
            found = {}
            for name in "abc":
                account = await self.accounts.find(self.prefix + name)
                if account is not None:
                    found[name] = (int(account.balance), account.version)
            return found

        assert self.run(look()) == self.beside

    def _moved(self, name: str, amount: int, events: int) -> None:
        balance, version = self.beside[name]
        self.beside[name] = (balance + amount, version + events)


def _deposits(amount: int) -> Callable[[Account], None]:
    return lambda account: account.deposit(Decimal(amount))


def _lose_an_answer(engine: Engine) -> None:
    """The next transaction of the engine's writer is committed, and nobody hears of it."""
    database = engine._database
    assert database is not None
    pen = database.pen
    run = pen.run

    def deaf(work: Callable[[Any], Any]) -> Any:
        pen.run = run  # type: ignore[method-assign]
        run(work)
        raise DatabaseUnavailable("the connection was lost")

    pen.run = deaf  # type: ignore[method-assign]


def test_the_log_and_what_is_beside_it(bank: tuple[asyncio.Runner, Engine, Any]) -> None:
    run_state_machine_as_test(
        lambda: Bank(*bank), settings=settings(max_examples=8, stateful_step_count=15, deadline=None, derandomize=True)
    )


@pytest.mark.slow
@pytest.mark.timeout(560)
def test_the_log_and_what_is_beside_it_for_long(bank: tuple[asyncio.Runner, Engine, Any]) -> None:
    run_state_machine_as_test(
        lambda: Bank(*bank), settings=settings(max_examples=150, stateful_step_count=30, deadline=None)
    )
