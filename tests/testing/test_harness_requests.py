"""Commands and queries under test: no broker, no waiting."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.errors import Rejected, RequestFailed, RequestTimeout, UsageError
from engine.model.retry import RetryPolicy
from engine.testing.harness import Harness
from tests.runtime import asking
from tests.runtime.asking import Balance, Break, Echo, GetBalance, TooPoor, Withdraw, Withdrawn


async def test_commands_and_queries_are_answered() -> None:
    async with Harness(*asking.ALL) as harness:
        assert await harness.request(GetBalance(account="a")) == Balance(account="a", amount=Decimal("9.50"))
        reply = await harness.request(Withdraw(account="a", amount=Decimal(30)))
        assert reply == Balance(account="a", amount=Decimal(70))
        assert harness.emitted(Withdrawn, count=1)
        with pytest.raises(Rejected) as caught:
            await harness.request(Withdraw(account="a", amount=Decimal(101)))
        assert caught.value.reason == TooPoor(missing=Decimal(1))
        harness.dead_letters(count=0)
        assert harness.handled(asking.balance, count=1)[0].data == GetBalance(account="a")
        assert len(harness.handled(asking.withdraw)) == 2  # to reject is to handle
        assert any("answered   balance: account.balance" in line for line in harness.story.lines)


async def test_a_command_is_sent_and_nobody_waits() -> None:
    async with Harness(*asking.ALL) as harness:
        await harness.send(Withdraw(account="a", amount=Decimal(200)))
        await harness.settle()
        (dead,) = harness.dead_letters(asking.withdraw, count=1)
        assert dead.reason == "rejected"


async def test_time_goes_as_far_as_a_request_waits() -> None:
    slow = RetryPolicy(max_attempts=3, initial=100)
    spec = asking.break_down.__warren_handler__  # type: ignore[attr-defined]
    async with Harness(*asking.ALL, circuit=0) as harness:
        consumer = next(each for each in harness.worker.consumers if each.spec is spec)
        consumer.failing.policy = slow
        before = harness.clock.now()
        await harness.request(Break(times=2), timeout=3600)
        assert harness.clock.now() > before
        with pytest.raises(RequestFailed, match="attempt 3"):
            await harness.request(Break(times=3), timeout=3600)


async def test_nobody_answers() -> None:
    async with Harness(asking.echo, asking.withdraw) as harness:
        await harness.worker.consumers[0].subscription.cancel()
        with pytest.raises(RequestTimeout, match="has no consumer, and 1 message waits"):
            await harness.request(Echo(number=1))
        assert await harness.request(Withdraw(account="a", amount=Decimal(1)))


async def test_a_transaction_waits_for_nobody() -> None:
    """A request within a handler's transaction is refused, and one before its first statement is not."""
    from sqlalchemy import text

    from engine import AsyncSession, Command, command_handler

    class Look(Command[int], type="test.look"):
        early: bool

    async def look(command: Look, session: AsyncSession) -> int:
        if not command.early:
            await session.execute(text("SELECT 1"))
        return await harness.engine.request(Echo(number=7))

    handler = command_handler(Look, retry=RetryPolicy(max_attempts=1))(look)
    async with Harness(asking.echo, handler) as harness:
        assert await harness.request(Look(early=True)) == 7
        with pytest.raises(RequestFailed, match="within the transaction") as caught:
            await harness.request(Look(early=False))
        assert caught.value.exception.endswith(UsageError.__name__)
