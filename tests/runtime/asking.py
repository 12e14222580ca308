"""Commands and queries that tests ask for, and their handlers."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from engine import (
    AsyncSession,
    Command,
    Context,
    Event,
    EventData,
    Query,
    Rejected,
    RetryPolicy,
    command_handler,
    query_handler,
)

ONCE = RetryPolicy(max_attempts=1)


class Balance(EventData):
    account: str
    amount: Decimal


class TooPoor(EventData, type="account.too_poor"):
    missing: Decimal


class Withdrawn(EventData, type="account.withdrawn"):
    account: str


class GetBalance(Query[Balance], type="account.balance"):
    account: str


class Echo(Query[int], type="test.echo"):
    number: int


class Sleep(Query[None], type="test.sleep"):
    seconds: float


class Wrong(Query[int], type="test.wrong"):
    """Answered by no number."""


class Withdraw(Command[Balance], type="account.withdraw", key="account", aggregate="account", rejections=(TooPoor,)):
    account: str
    amount: Decimal


class Break(Command, type="test.break"):
    times: int


class Emits(Query[None], type="test.emits"):
    pass


class Writes(Query[int], type="test.writes"):
    pass


class Nobody(Command, type="test.nobody"):
    pass


@query_handler(GetBalance)
async def balance(query: Event[GetBalance]) -> Balance:
    if query.data.account == "none":
        raise Rejected("there is no such account")
    if query.data.account == "broken":
        raise LookupError("the table is gone")
    return Balance(account=query.data.account, amount=Decimal("9.50"))


@query_handler(Echo, concurrency=64)
async def echo(query: Echo) -> int:
    return query.number


@query_handler(Sleep)
async def sleep(query: Sleep) -> None:
    await asyncio.sleep(query.seconds)


@query_handler(Wrong)
async def wrong(query: Wrong) -> Any:
    return "seven"


@query_handler("test.emits")
async def emits(query: Event[dict[str, Any]], ctx: Context) -> None:
    ctx.emit(Withdrawn(account="a"))


@query_handler("test.writes")
async def writes(query: Event[dict[str, Any]], session: AsyncSession) -> int:
    await session.execute(text("CREATE TABLE IF NOT EXISTS taken (account TEXT)"))
    await session.execute(text("INSERT INTO taken VALUES ('q')"))
    return (await session.execute(text("SELECT count(*) FROM taken"))).scalar_one()


@command_handler(Withdraw)
async def withdraw(command: Event[Withdraw], ctx: Context, session: AsyncSession) -> Balance:
    data = command.data
    await session.execute(text("CREATE TABLE IF NOT EXISTS taken (account TEXT)"))
    await session.execute(text("INSERT INTO taken VALUES (:account)"), {"account": data.account})
    if data.amount > 100:
        raise Rejected(TooPoor(missing=data.amount - 100), "not enough")
    ctx.emit(Withdrawn(account=data.account))
    return Balance(account=data.account, amount=100 - data.amount)


@command_handler(Break, retry=RetryPolicy(max_attempts=3, initial=0.05))
async def break_down(command: Break, ctx: Context) -> None:
    if ctx.attempt <= command.times:
        raise OSError(f"attempt {ctx.attempt}")


ALL = (balance, echo, sleep, wrong, emits, writes, withdraw, break_down)
