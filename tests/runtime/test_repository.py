"""Aggregates loaded and saved: alone, in the application's transaction, in a handler's."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from engine.errors import (
    ApplierFailed,
    ConcurrencyConflict,
    EventTaken,
    HistoryError,
    StreamArchived,
    StreamMissing,
    UnknownEvent,
    UsageError,
)
from engine.model.aggregate import Aggregate, applies
from engine.model.event import Event, EventData
from engine.model.stream import ANY_VERSION, NO_STREAM, StreamId
from engine.runtime.application import Engine
from engine.runtime.event_log import Append
from handlers.bank import Account, AccountOpened, InsufficientFunds, MoneyDeposited
from tests.runtime.accounts import balances, database_of, opened, published, write
from tests.runtime.test_promising import ASYNC, url_of


async def test_what_was_saved_is_loaded_and_published(either: Engine) -> None:
    accounts = either.repository(Account)
    account = Account.open("a-1", "alice")
    account.deposit(Decimal("9.50"))
    await accounts.save(account, correlation_id="visit-7")
    assert (account.version, account.pending) == (2, ())
    await accounts.save(account)  # nothing to save
    again = await accounts.load("a-1")
    assert (again, again.version, again.id) == (account, 2, "a-1")
    entries = [entry async for entry in accounts.history("a-1")]
    assert [(entry.version, entry.event.type) for entry in entries] == [(1, "account.opened"), (2, "account.deposited")]
    assert {entry.event.correlation_id for entry in entries} == {"visit-7"}
    assert entries[1].event.data == {"account_id": "a-1", "amount": "9.50", "transfer_id": None}
    assert entries[1].event.metadata == {"streamVersion": 2}
    await published(either, 2)


async def test_a_stale_aggregate_is_not_saved(either: Engine) -> None:
    await opened(either, "a-1", balance=10)
    accounts = either.repository(Account)
    one, other = await accounts.load("a-1"), await accounts.load("a-1")
    one.withdraw(Decimal(7))
    await accounts.save(one)
    other.withdraw(Decimal(7))
    with pytest.raises(ConcurrencyConflict) as caught:
        await accounts.save(other)
    assert (caught.value.stream, caught.value.expected, caught.value.actual) == ("account/a-1", 2, 3)
    with pytest.raises(ConcurrencyConflict):
        await accounts.save(Account.open("a-1", "mallory"))
    assert await balances(either, "a-1") == [3]
    await published(either, 3)


async def test_a_command_is_repeated_on_a_conflict_and_nothing_is_lost(either: Engine) -> None:
    await opened(either, "a-1", balance=10)
    accounts = either.repository(Account)
    await asyncio.gather(
        *(accounts.update(lambda account: account.deposit(Decimal(1)), "a-1", attempts=100) for _ in range(20))
    )
    assert await balances(either, "a-1") == [30]
    with pytest.raises(InsufficientFunds):
        await accounts.update(lambda account: account.withdraw(Decimal(31)), "a-1")
    assert await accounts.update(lambda account: account.version, "a-1") == 22
    with pytest.raises(UsageError, match="one aggregate twice"):
        await accounts.update(lambda a, b: None, "a-1", "a-1")


async def test_a_command_that_always_conflicts_gives_up(engine: Engine) -> None:
    await opened(engine, "a-1")
    accounts, log = engine.repository(Account), engine.event_log()
    tried: list[int] = []
    stream = StreamId("account", "a-1")

    async def disturbed(*given: Any, **more: Any) -> Any:
        await log.append(stream, MoneyDeposited(account_id="a-1", amount=Decimal(1)), expected=ANY_VERSION)
        return await append(*given, **more)

    append = accounts.log.place.append
    accounts.log.place.append = disturbed  # type: ignore[method-assign]  # somebody is always quicker
    with pytest.raises(ConcurrencyConflict):
        await accounts.update(lambda account: (tried.append(1), account.deposit(Decimal(1))), "a-1", attempts=3)
    assert len(tried) == 3


async def test_two_accounts_are_saved_together_or_not_at_all(either: Engine) -> None:
    await opened(either, "a-1", "a-2", balance=100)
    accounts = either.repository(Account)

    def move(source: Account, target: Account) -> None:
        source.withdraw(Decimal(4))
        target.deposit(Decimal(4))

    await accounts.update(move, "a-1", "a-2")
    assert await balances(either, "a-1", "a-2") == [96, 104]
    source, target = await accounts.load("a-1"), await accounts.load("a-2")
    await accounts.update(lambda account: account.deposit(Decimal(1)), "a-2")
    move(source, target)
    with pytest.raises(ConcurrencyConflict):
        await accounts.save(source, target)
    assert await balances(either, "a-1", "a-2") == [96, 105]
    await asyncio.gather(*(accounts.update(move, *pair, attempts=100) for pair in [("a-1", "a-2"), ("a-2", "a-1")] * 5))
    assert sum(await balances(either, "a-1", "a-2")) == 201


async def test_an_aggregate_as_it_was(either: Engine) -> None:
    await opened(either, "a-1", balance=10)
    accounts = either.repository(Account)
    await accounts.update(lambda account: account.withdraw(Decimal(1)), "a-1")
    times = [entry.event.timestamp async for entry in accounts.history("a-1")]
    await accounts.snapshot(await accounts.load("a-1"))
    assert [(await accounts.load("a-1", version=version)).balance for version in (1, 2, 3)] == [0, 10, 9]
    assert (await accounts.load("a-1", as_of=times[1])).balance == 10
    assert (await accounts.load("a-1", as_of=times[2] + timedelta(days=1))).balance == 9
    with pytest.raises(StreamMissing, match="has no events up to"):
        await accounts.load("a-1", as_of=times[0] - timedelta(seconds=1))
    with pytest.raises(UsageError, match="has no version 4: it is at 3"):
        await accounts.load("a-1", version=4)
    with pytest.raises(UsageError, match="has no version 3: at .* it was at 2"):
        await accounts.load("a-1", version=3, as_of=times[1])
    with pytest.raises(UsageError, match="count from 1"):
        await accounts.load("a-1", version=0)
    with pytest.raises(UsageError, match="no time zone"):
        await accounts.load("a-1", as_of=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(StreamMissing, match="account/a-9 has no events"):
        await accounts.load("a-9")
    assert await accounts.find("a-9") is None


async def test_a_stream_that_is_half_taken_back_is_not_loaded(either: Engine) -> None:
    await opened(either, "a-1", balance=10)
    accounts = either.repository(Account)
    await accounts.snapshot(await accounts.load("a-1"))
    await write(either, "INSERT INTO warren_archived_streams VALUES ('account', 'a-1', 7, 0.0)")
    for how in ({}, {"version": 2}, {"as_of": datetime.now(UTC)}):
        with pytest.raises(StreamArchived, match="archived at version 7, and only its first 2 events"):
            await accounts.load("a-1", **how)


# --- what is wrong with a stream ------------------------------------------------------------


class Closed(EventData, type="account.closed"):
    reason: str = ""


class OpenedLater(EventData, type="account.opened", version=2):
    owner: int


async def log_of(engine: Engine) -> list[Any]:
    return await database_of(engine).read(
        lambda connection: [tuple(row) for row in connection.execute(text("SELECT * FROM warren_events ORDER BY 1"))]
    )


async def test_a_stream_that_no_aggregate_can_be_built_from(engine: Engine) -> None:
    class Brittle(Aggregate, type="account"):
        @applies(AccountOpened)
        def _opened(self, event: AccountOpened) -> None:
            raise LookupError("not ready")

    log = engine.event_log()
    await log.append(
        StreamId("account", "unknown"), AccountOpened(account_id="unknown", owner="a"), Closed(), expected=0
    )
    await log.append(StreamId("account", "newer"), OpenedLater(owner=5), expected=0)
    await log.append(StreamId("account", "gap"), Closed(), Closed(), Closed(), expected=0)
    await write(engine, "DELETE FROM warren_events WHERE aggregate_id = 'gap' AND version = 2")
    await log.append(StreamId("account", "broken"), AccountOpened(account_id="broken", owner="a"), expected=0)
    await write(
        engine,
        "UPDATE warren_events SET body = :body WHERE aggregate_id = 'broken'",
        body=b'{"eventType":"account.opened","data":{"owner":7},"metadata":{"streamVersion":1}}',
    )
    await log.append(StreamId("account", "fine"), AccountOpened(account_id="fine", owner="a"), expected=0)
    before = await log_of(engine)
    accounts = engine.repository(Account)
    for name, error, version, words in (
        ("unknown", UnknownEvent, 2, "account.closed at version 2 of account/unknown is not known to Account"),
        ("newer", UnknownEvent, 1, "has schema version 2, and Account knows it up to 1"),
        ("broken", UnknownEvent, 1, "cannot be read: the payload of account.opened is refused: data.account_id"),
    ):
        with pytest.raises(error, match=words) as caught:
            await accounts.load(name)
        assert isinstance(caught.value, HistoryError)
        assert (caught.value.stream, caught.value.version) == (f"account/{name}", version)
        assert caught.value.hint

    class Keeper(Aggregate, type="account", ignores=("account.closed",)):
        pass

    with pytest.raises(HistoryError, match="lacks version 2: after 1 comes 3"):
        await engine.repository(Keeper).load("gap")
    with pytest.raises(ApplierFailed, match="raised at version 1 of account/fine: LookupError: not ready") as failed:
        await engine.repository(Brittle).load("fine")
    assert isinstance(failed.value.__cause__, LookupError)
    assert await log_of(engine) == before


async def test_a_body_that_another_program_wrote_is_read_all_the_same(engine: Engine) -> None:
    await opened(engine, "a-1", balance=5)
    await write(
        engine,
        "UPDATE warren_events SET body = :body WHERE version = 2",
        body=b'{ "eventType": "account.deposited", "data": {"amount": 6, "account_id": "a-1"} }',
    )
    assert await balances(engine, "a-1") == [6]


# --- the log itself -------------------------------------------------------------------------


async def test_the_log_alone(engine: Engine) -> None:
    log = engine.event_log()
    stream, other = StreamId("account", "a-1"), StreamId("note", "n-1")
    assert await log.append(stream, Closed(), expected=NO_STREAM, metadata={"who": "me"}) == 1
    made = [entry async for entry in log.read(stream, Closed)]
    assert made[0].event.data == Closed()
    assert made[0].event.metadata == {"who": "me", "streamVersion": 1}
    assert made[0].event.aggregate_id == "a-1"
    assert await log.append(stream, made[0].event, expected=0) == 1  # appended before
    with pytest.raises(EventTaken):
        await log.append(
            other, made[0].event.__class__(Closed(), "account.closed", made[0].event.id, datetime.now(UTC)), expected=0
        )
    both = [Append(stream, [Closed(reason="x")], 1), Append(other, [Closed()], NO_STREAM)]
    assert await log.append_all(both, publish=False) == [2, 1]
    with pytest.raises(ConcurrencyConflict):
        await log.append_all(both)
    assert (await log.version(stream), await log.version(other)) == (2, 1)
    assert [entry.version async for entry in log.read(stream, after=1)] == [2]
    with pytest.raises(UsageError, match="is about account/a-2"):
        await log.append(stream, MoneyDeposited(account_id="a-2", amount=Decimal(1)), expected=2)
    with pytest.raises(UsageError, match="nothing is to be appended"):
        await log.append(stream, expected=2)
    again = Event(Closed(), "account.closed", "e-1", datetime.now(UTC))
    with pytest.raises(UsageError, match="e-1 is to be appended twice"):
        await log.append_all([Append(stream, [again], 2), Append(other, [again], 1)])
    everything = [(entry.position, entry.version) async for entry in log.read_all()]
    assert [version for _, version in everything] == [1, 2, 1]
    found = log.read_all(after=everything[0][0], stream=stream, types=["account.*"])
    assert [entry.event.data async for entry in found] == [{"reason": "x"}]
    await published(engine, 1)


async def test_with_a_session_of_the_application(either: Engine) -> None:
    source = create_async_engine(url_of(either.settings.database_url, ASYNC))
    async with AsyncSession(source) as session:
        accounts = either.repository(Account, session)
        await accounts.save(Account.open("a-1", "alice"))
        await session.rollback()
        await accounts.save(Account.open("a-1", "bob"))
        account = await accounts.load("a-1")
        assert await either.repository(Account).find("a-1") is None
        await session.commit()
        account.deposit(Decimal(5))
        await accounts.save(account)
        await session.commit()
        stale = await accounts.load("a-1", version=1)
        stale.deposit(Decimal(9))
        with pytest.raises(ConcurrencyConflict):
            await accounts.save(stale)
        await session.rollback()
    async with source.begin() as connection:
        await either.repository(Account, connection).update(lambda account: account.deposit(Decimal(1)), "a-1")
    await source.dispose()
    found = await either.repository(Account).load("a-1")
    assert (found.owner, found.balance, found.version) == ("bob", 6, 3)
    await published(either, 3)


async def test_two_sessions_that_append_to_one_stream_wait_for_each_other(either: Engine) -> None:
    stream = StreamId("account", "a-1")
    first, second = (create_async_engine(url_of(either.settings.database_url, ASYNC)) for _ in range(2))
    began = asyncio.Event()

    @event.listens_for(second.sync_engine, "before_cursor_execute")
    def writes(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "lock" in statement or statement.startswith(("DELETE", "INSERT")):
            began.set()

    async def follow() -> int:
        async with AsyncSession(second) as session, session.begin_nested():
            version = await either.event_log(session).append(stream, Closed(), expected=ANY_VERSION)
            await session.commit()
        return version

    async with AsyncSession(first) as session:
        assert await either.event_log(session).append(stream, Closed(), expected=ANY_VERSION) == 1
        following = asyncio.create_task(follow())
        await began.wait()
        await session.commit()
        assert await following == 2
    await first.dispose()
    await second.dispose()


async def test_what_an_applied_event_must_not_be() -> None:
    account = Account.new("a-1")
    with pytest.raises(UsageError, match="no applier for Closed"):
        account.emit(Closed())
    with pytest.raises(UsageError, match="has no id"):
        Account().deposit(Decimal(1))
    with pytest.raises(UsageError, match="the aggregate id"):
        Account.new("a\n")
    assert account.pending == ()
