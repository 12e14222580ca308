"""Snapshots of aggregates: a load begins there, unless it does not fit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import text

from engine.errors import (
    UsageError,
)
from engine.model.aggregate import Aggregate, applies
from engine.runtime.application import Engine
from handlers.bank import Account, MoneyDeposited
from tests.runtime.accounts import balances, database_of, opened, write


async def snapshots(engine: Engine) -> list[tuple[str, int]]:
    rows = await database_of(engine).read(
        lambda connection: connection.execute(text("SELECT schema, version FROM warren_snapshots ORDER BY 1")).all()
    )
    return [(row.schema, row.version) for row in rows]


class Tally(Aggregate, type="account", snapshot_every=3, ignores=("account.opened",)):
    """Another look at accounts."""

    moves: int = 0

    @applies
    def _moved(self, event: MoneyDeposited) -> None:
        self.moves += 1


class TallyOfToday(Aggregate, type="account", snapshot_every=3, snapshot_version=2, ignores=("account.opened",)):
    moves: int = 0

    @applies(MoneyDeposited)
    def _moved(self, event: MoneyDeposited) -> None:
        self.moves += 10


async def test_snapshots_are_taken_as_events_come_and_each_schema_has_its_own(either: Engine) -> None:
    await opened(either, "a-1", balance=1)
    tallies = either.repository(Tally)
    assert await snapshots(either) == []

    def count(tally: Tally) -> None:
        tally.emit(MoneyDeposited(account_id="a-1", amount=Decimal(1)))

    await tallies.update(count, "a-1")
    ((schema, version),) = await snapshots(either)
    assert version == 3
    for _ in range(4):
        await tallies.update(count, "a-1")
    assert await snapshots(either) == [(schema, 6)]
    # What comes from a snapshot is what comes from the events.
    assert (await tallies.load("a-1")).moves == 6
    # Another schema begins at the first event, and keeps a snapshot of its own.
    assert (await either.repository(TallyOfToday).load("a-1")).moves == 60
    assert {each for each in await snapshots(either) if each[0] != schema} == {(schema_of_today(), 7)}


def schema_of_today() -> str:
    from engine.model.folding import schema_of

    return schema_of(TallyOfToday)


async def test_a_snapshot_is_where_a_load_begins(engine: Engine) -> None:
    await opened(engine, "a-1", balance=5)
    accounts = engine.repository(Account)
    await accounts.snapshot(await accounts.load("a-1"))
    await write(engine, "UPDATE warren_snapshots SET state = :state", state=b'{"owner": "bob", "balance": "70"}')
    await accounts.update(lambda account: account.deposit(Decimal(1)), "a-1")
    assert await balances(engine, "a-1") == [71]
    with pytest.raises(UsageError, match="not saved"):
        await accounts.snapshot(Account.open("a-2", "alice"))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE warren_snapshots SET state = :state",
        "UPDATE warren_snapshots SET version = 9",
        "UPDATE warren_snapshots SET version = 1",
        "UPDATE warren_snapshots SET event_id = 'other'",
    ],
)
async def test_a_snapshot_that_does_not_fit_is_built_anew(
    engine: Engine, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    await opened(engine, "a-1", balance=5)
    accounts = engine.repository(Account)
    await accounts.snapshot(await accounts.load("a-1"))
    before = await snapshots(engine)
    await write(engine, damage, **({"state": b'{"owner": [], "balance": "x"}'} if ":state" in damage else {}))
    assert await balances(engine, "a-1") == [5]
    assert "does not fit and is built anew" in caplog.text
    assert await snapshots(engine) == before
    caplog.clear()
    assert await balances(engine, "a-1") == [5]
    assert "does not fit" not in caplog.text
