"""The bank: a transfer between two accounts that happens once and whole, or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.errors import PluginError
from engine.model.aggregate import Aggregate
from engine.model.event import Event
from engine.model.handler import handler
from engine.model.stream import ANY_VERSION, NO_STREAM, StreamId
from engine.runtime.binding import bind
from engine.runtime.context import Context
from engine.runtime.event_log import EventLog
from engine.runtime.repository import Repository
from engine.testing.harness import Harness
from handlers.bank import (
    Account,
    AccountOpened,
    MoneyDeposited,
    TransferCompleted,
    TransferRejected,
    TransferRequested,
    transfer,
)


def request(number: int, amount: int, source: str = "a-1", target: str = "a-2") -> TransferRequested:
    return TransferRequested(transfer_id=f"t-{number}", source=source, target=target, amount=Decimal(amount))


async def open_accounts(harness: Harness, *ids: str) -> Repository[Account]:
    accounts = harness.engine.repository(Account)
    for name in ids:
        account = Account.open(name, "alice")
        account.deposit(Decimal(10))
        await accounts.save(account)
    return accounts


async def balances(accounts: Repository[Account], *ids: str) -> list[int]:
    return [int((await accounts.load(name)).balance) for name in ids]


async def test_a_transfer_moves_money_once_however_often_it_is_delivered() -> None:
    async with Harness(transfer) as harness:
        accounts = await open_accounts(harness, "a-1", "a-2")
        for _ in range(3):
            await harness.publish(request(1, 4), id="e-1", correlation_id="visit-7")
        await harness.settle()
        assert await balances(accounts, "a-1", "a-2") == [6, 14]
        harness.emitted(TransferCompleted, count=1)
        (paid,) = harness.emitted(MoneyDeposited, count=1)
        assert (paid.causation_id, paid.correlation_id, paid.aggregate_id) == ("e-1", "visit-7", "a-2")
        assert paid.metadata == {"streamVersion": 3}
        rows = await harness.sql(
            "SELECT event_type, aggregate_id, version, origin, queue FROM warren_events WHERE causation_id = 'e-1' ORDER BY 1"
        )
        assert rows == [
            ("account.deposited", "a-2", 3, "appended", "test.bank.transfer"),
            ("account.withdrawn", "a-1", 3, "appended", "test.bank.transfer"),
            ("transfer.completed", "t-1", None, "emitted", "test.bank.transfer"),
        ]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (request(1, 11), "a-1 has 10, not 11"),
        (request(1, 0), "0 is no amount"),
        (request(1, 1, target="a-9"), "the stream account/a-9 has no events"),
        (request(1, 1, target="a-1"), "a-1 is both source and target"),
    ],
)
async def test_a_transfer_that_cannot_be_is_rejected_with_a_reason(wanted: TransferRequested, why: str) -> None:
    async with Harness(transfer) as harness:
        accounts = await open_accounts(harness, "a-1", "a-2")
        await harness.publish(wanted)
        await harness.settle()
        assert await balances(accounts, "a-1", "a-2") == [10, 10]
        (rejected,) = harness.emitted(TransferRejected, count=1)
        assert rejected.data.reason == why
        harness.emitted(count=1)


async def test_transfers_both_ways_lose_no_money() -> None:
    async with Harness(transfer) as harness:
        accounts = await open_accounts(harness, "a-1", "a-2", "a-3")
        pairs = [("a-1", "a-2"), ("a-2", "a-1"), ("a-2", "a-3"), ("a-3", "a-1")]
        for number in range(40):
            source, target = pairs[number % 4]
            await harness.publish(request(number, 1 + number % 5, source, target))
        await harness.settle()
        assert sum(await balances(accounts, "a-1", "a-2", "a-3")) == 30
        assert len(harness.emitted(TransferCompleted)) + len(harness.emitted(TransferRejected)) == 40


class Sum(Aggregate, type="sum"):
    total: int = 0


async def test_what_a_handler_appends_goes_with_its_transaction() -> None:
    @handler(TransferRequested, retry=None)
    async def note(event: Event[TransferRequested], ctx: Context, log: EventLog) -> None:
        stream = StreamId("transfer", event.data.transfer_id)
        version = await log.append(stream, event.data, expected=NO_STREAM, publish=False)
        await log.append(stream, TransferCompleted(transfer_id=event.data.transfer_id), expected=version)
        if event.data.amount > 5:
            raise ValueError("too much")

    async with Harness(note) as harness:
        await harness.publish(request(1, 5))
        await harness.publish(request(2, 6))
        await harness.finish()
        assert await harness.sql("SELECT aggregate_id, version FROM warren_events ORDER BY 1, 2") == [
            ("t-1", 1),
            ("t-1", 2),
        ]
        assert [event.type for event in harness.emitted()] == ["transfer.completed"]
        harness.dead_letters(note, count=1)
        log = harness.engine.event_log()
        await log.append(StreamId("transfer", "t-3"), TransferCompleted(transfer_id="t-3"), expected=ANY_VERSION)
        await harness.publish(request(3, 1))  # a stream that is there already: a conflict is a failed attempt
        await harness.settle()
        assert len(harness.retried(note)) + len(harness.dead_letters(note)) >= 2


async def test_appended_events_are_among_what_the_handler_declares() -> None:
    @handler(TransferRequested, emits=[TransferCompleted])
    async def narrow(event: Event[TransferRequested], log: EventLog) -> None:
        await log.append(StreamId("account", "a-1"), MoneyDeposited(account_id="a-1", amount=Decimal(1)), expected=0)

    async with Harness(narrow) as harness:
        await harness.publish(request(1, 1))
        await harness.finish()
        (dead,) = harness.dead_letters(narrow, count=1)
        assert "declares emits=" in dead.message
        assert await harness.sql("SELECT count(*) FROM warren_events") == [(0,)]


def test_a_plain_function_cannot_have_the_log() -> None:
    @handler(TransferRequested)
    def plain(event: Event[TransferRequested], log: EventLog) -> None: ...

    @handler(TransferRequested)
    async def bare(event: Event[TransferRequested], sums: Repository) -> None: ...  # type: ignore[type-arg]

    for function, words in ((plain, "only an async def handler"), (bare, "which nothing can fill")):
        with pytest.raises(PluginError, match=words):
            bind(function.__warren_handler__)  # type: ignore[attr-defined]


async def test_the_harness_waits_for_what_an_application_saved() -> None:
    seen: list[str] = []

    @handler(AccountOpened)
    async def greet(event: Event[AccountOpened]) -> None:
        seen.append(event.data.owner)

    async with Harness(greet) as harness:
        for number in range(20):
            await harness.engine.repository(Account).save(Account.open(f"a-{number}", "alice"))
            await harness.settle()
            assert len(seen) == number + 1
