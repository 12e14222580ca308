"""Commands and queries: to one handler, with typed replies, on each broker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest
from tenacity import wait_fixed

from engine.errors import (
    Rejected,
    ReplyInvalid,
    RequestFailed,
    RequestTimeout,
    Unroutable,
    UsageError,
)
from engine.model.message import Message, Publication
from engine.runtime.application import Engine
from engine.runtime.valve import Mode
from engine.runtime.worker import Worker
from engine.settings import Settings
from engine.storage import pauses
from tests.runtime import asking
from tests.runtime.asking import (
    ALL,
    Balance,
    Break,
    Echo,
    Emits,
    GetBalance,
    Nobody,
    Sleep,
    TooPoor,
    Withdraw,
    Writes,
    Wrong,
)
from tests.support.inprocess import own_settings, until, working


class Home(NamedTuple):
    """A worker with all handlers of `asking`, and an engine beside it, with a connection of its own."""

    settings: Settings
    worker: Worker
    engine: Engine

    async def sql(self, statement: str) -> list[tuple[object, ...]]:
        return await self.worker.database.read(
            lambda connection: [tuple(row) for row in connection.exec_driver_sql(statement)]
        )


@pytest.fixture(params=["embedded", "rabbitmq"])
async def home(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> AsyncIterator[Home]:
    url = request.getfixturevalue("amqp_url") if request.param == "rabbitmq" else None
    settings = own_settings(tmp_path, app, url)
    async with working(settings, *ALL) as worker, Engine(settings) as engine:
        yield Home(settings, worker, engine)


async def test_a_query_is_answered(home: Home) -> None:
    reply = await home.engine.request(GetBalance(account="a"), timeout=10)
    assert reply == Balance(account="a", amount=Decimal("9.50"))
    assert await home.sql("SELECT count(*) FROM warren_records") == [(0,)]  # nothing is written of a query


async def test_a_command_is_carried_out_and_answered(home: Home) -> None:
    reply = await home.engine.request(Withdraw(account="a", amount=Decimal(30)), timeout=10)
    assert reply == Balance(account="a", amount=Decimal(70))
    assert await home.sql("SELECT account FROM taken") == [("a",)]  # the reply came after the commit
    assert await home.sql("SELECT event_type FROM warren_events") == [("account.withdrawn",)]


async def test_a_rejection_has_its_reason(home: Home) -> None:
    with pytest.raises(Rejected, match="not enough") as caught:
        await home.engine.request(Withdraw(account="b", amount=Decimal(130)), timeout=10)
    assert caught.value.reason == TooPoor(missing=Decimal(30))
    assert caught.value.code == "account.too_poor"
    with pytest.raises(Rejected, match="no such account") as caught:
        await home.engine.request(GetBalance(account="none"), timeout=10)
    assert caught.value.reason is None
    assert await home.sql("SELECT count(*) FROM warren_failures") == [(0,)]  # who asked was told
    assert await home.sql("SELECT count(*) FROM warren_events") == [(0,)]


async def test_a_rejection_that_nobody_waits_for_is_a_failure(home: Home) -> None:
    await home.engine.send(Withdraw(account="c", amount=Decimal(130)))

    async def failed() -> list[tuple[object, ...]]:
        return await home.sql("SELECT reason, attempts, message FROM warren_failures")

    assert await until(failed, "the failure") == [("rejected", 1, "not enough")]


async def test_what_fails_for_good_is_told(home: Home) -> None:
    with pytest.raises(RequestFailed, match="the table is gone") as caught:
        await home.engine.request(GetBalance(account="broken"), timeout=10)
    assert caught.value.exception == "LookupError"
    await home.engine.request(Break(times=1), timeout=10)  # a retry is waited for
    with pytest.raises(RequestFailed, match="attempt 3"):
        await home.engine.request(Break(times=9), timeout=10)

    async def failed() -> list[tuple[object, ...]]:
        return await home.sql("SELECT attempts FROM warren_failures")

    assert await until(failed, "the failure") == [(3,)]


async def test_a_retry_that_comes_too_late_is_not_waited_for(home: Home) -> None:
    slow = Break(times=9)
    home.worker.consumers[-1].policy = home.worker.consumers[-1].failing.policy = asking.RetryPolicy(
        max_attempts=3, wait=wait_fixed(60)
    )
    with pytest.raises(RequestFailed, match="attempt 1"):
        await home.engine.request(slow, timeout=10)

    async def failed() -> list[tuple[object, ...]]:
        return await home.sql("SELECT attempts, reason FROM warren_failures")

    assert await until(failed, "the failure") == [(1, "its deadline passed")]


async def test_replies_are_checked_on_both_sides(home: Home) -> None:
    with pytest.raises(RequestFailed, match="no reply of its request"):
        await home.engine.request(Wrong(), timeout=10)
    with pytest.raises(ReplyInvalid, match=r"the reply to test.echo"):
        await home.engine.request(Foreign(number=5), reply=Balance, timeout=10)


class Foreign(asking.EventData, type="test.echo"):
    """The class of a sender that thinks otherwise of the reply."""

    number: int


async def test_nobody_answers(home: Home) -> None:
    with pytest.raises(RequestTimeout, match="1 consumer, and 0 messages wait"):
        await home.engine.request(Sleep(seconds=5), timeout=1)  # time enough to be taken from the queue
    with pytest.raises(Unroutable, match=r"Nobody is known to handle test\.nobody"):
        await home.engine.request(Nobody(), timeout=1)
    with pytest.raises(Unroutable):
        await home.engine.request(Nobody(), timeout=5, queue=f"{home.settings.app}.missing")
    with pytest.raises(Unroutable, match=r"Nobody is known to handle test\.nobody"):
        await home.engine.send(Nobody())
    assert await home.engine.request(Echo(number=1), timeout=10) == 1  # the late reply harms nobody


async def test_a_query_changes_nothing(home: Home) -> None:
    with pytest.raises(RequestFailed, match="emits answers queries, which change nothing"):
        await home.engine.request(Emits(), timeout=10)
    assert await home.engine.request(Writes(), timeout=10) == 1
    assert await home.engine.request(Writes(), timeout=10) == 1  # what it wrote was undone
    assert await home.sql("SELECT count(*) FROM warren_events") == [(0,)]


async def test_a_paused_query_is_not_answered(home: Home) -> None:
    queue = f"{home.settings.app}.asking.echo"
    consumer = next(each for each in home.worker.consumers if each.queue == queue)
    await home.worker.database.write(lambda connection: pauses.pause(connection, queue, who="a test", why="", now=1.0))
    await until(_async(lambda: consumer.subscription.mode is Mode.SHUT), "the pause")  # type: ignore[attr-defined]
    with pytest.raises(RequestTimeout, match="has no consumer, and 1 message waits in it"):
        await home.engine.request(Echo(number=1), timeout=0.3)
    await home.worker.database.write(lambda connection: pauses.resume(connection, queue))
    assert await home.engine.request(Echo(number=2), timeout=20) == 2


async def test_an_engine_without_a_database_is_told_the_queue(home: Home) -> None:
    async with Engine(home.settings, database=False) as engine:
        with pytest.raises(Unroutable, match="this engine has no database that would tell"):
            await engine.request(Echo(number=1))
        assert await engine.request(Echo(number=1), queue=f"{home.settings.app}.asking.echo", timeout=10) == 1


async def test_a_thousand_requests_are_in_flight(home: Home) -> None:
    numbers = await asyncio.gather(*(home.engine.request(Echo(number=n), timeout=60) for n in range(1000)))
    assert numbers == list(range(1000))


async def test_a_cancelled_request_is_forgotten(home: Home) -> None:
    task = asyncio.create_task(home.engine.request(Sleep(seconds=0.2), timeout=10))
    await asyncio.sleep(0)
    while not home.engine._requests or not home.engine._requests._waiting:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not home.engine._requests._waiting
    assert await home.engine.request(Echo(number=2), timeout=10) == 2


async def test_requests_that_wait_are_told_when_the_engine_closes(home: Home) -> None:
    async with Engine(home.settings) as engine:
        task = asyncio.create_task(engine.request(Sleep(seconds=1), timeout=10))
        while not engine._requests or not engine._requests._waiting:
            await asyncio.sleep(0.01)
    with pytest.raises(Exception, match="The engine was closed") as caught:
        await task
    assert type(caught.value).__name__ == "RequestLost"


async def test_an_expired_request_is_not_begun(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    engine, app = home.engine, home.settings.app
    for kind, data, queue in (
        ("test.echo", b'{"number": 1}', f"{app}.asking.echo"),
        ("account.withdraw", b'{"account": "late", "amount": 1}', f"{app}.asking.withdraw"),
    ):
        late = Message(data, {"warren-deadline": 1000}, message_id=f"late-{kind}", type=kind, reply_to="nobody")
        assert await engine.broker.publish([Publication("", queue, late)]) == [None]

    async def failed() -> list[tuple[object, ...]]:
        return await home.sql("SELECT reason, event_id FROM warren_failures")

    assert await until(failed, "the failure") == [("expired", "late-account.withdraw")]
    with caplog.at_level(logging.WARNING):
        await until(_async(lambda: home.worker.consumers[1].stats.stale == 1), "the late query")


def _async(holds):  # type: ignore[no-untyped-def]
    async def ask() -> bool:
        return bool(holds())

    return ask


async def test_usage_that_cannot_work(home: Home) -> None:
    engine = home.engine
    with pytest.raises(UsageError, match="is a command, which is not published"):
        await engine.publish(Nobody())
    with pytest.raises(UsageError, match="is a query"):
        await engine.send(Echo(number=1))
    with pytest.raises(UsageError, match="timeout"):
        await engine.request(Echo(number=1), timeout=0)
    with pytest.raises(UsageError, match="does not say what it is answered by"):
        await engine.request(Foreign(number=1))  # type: ignore[call-overload]
