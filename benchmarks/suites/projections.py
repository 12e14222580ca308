"""A projection reads 30,000 events of the log into one row a batch: events a second, on SQLite."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlmodel import Field, SQLModel

from benchmarks.table import against, table
from engine import AsyncSession, Event, EventData, projection
from engine.testing.projecting import Projected

NUMBER = 30_000
#: Events that are written to the log in one transaction.
GROUP = 2_000
#: Events a second, at least.
FLOOR = 10_000


class OrderPlaced(EventData, type="bench.order_placed", aggregate="order", key="order_id"):
    order_id: str
    customer: str
    total: float
    quantity: int


class Turnover(SQLModel, table=True):
    __tablename__ = "bench_turnover"

    day: str = Field(primary_key=True)
    orders: int
    total: float


@projection(OrderPlaced, tables=[Turnover], name="bench.turnover")
async def turnover(events: list[Event[OrderPlaced]], session: AsyncSession) -> None:
    await session.execute(
        text(
            "INSERT INTO bench_turnover (day, orders, total) VALUES ('today', :orders, :total)"
            " ON CONFLICT (day) DO UPDATE SET orders = bench_turnover.orders + excluded.orders,"
            " total = bench_turnover.total + excluded.total"
        ),
        {"orders": len(events), "total": sum(event.data.total for event in events)},
    )


@projection(OrderPlaced, name="bench.nothing")
async def nothing(events: list[Event[OrderPlaced]]) -> None:
    """Only the checkpoint is written."""


def projecting(url: str, runs: int, count: int) -> None:
    """On SQLite; `url` and `count` do not matter here."""
    figures = [asyncio.run(_measure()) for _ in range(runs)]
    rows = [
        (name, against(statistics.median(run[name] for run in figures), FLOOR))
        for name in ("one upsert a batch", "no-op")
    ]
    table(f"a projection of {NUMBER:,} events, events a second, medians of {runs}", rows)


async def _measure() -> dict[str, float]:
    return {"one upsert a batch": await _timed(turnover), "no-op": await _timed(nothing)}


async def _timed(function: Callable[..., Any]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        async with Projected(function, database=f"sqlite:///{Path(folder)}/warren.db") as projected:
            for start in range(0, NUMBER, GROUP):
                await projected.append(
                    *(
                        OrderPlaced(order_id=f"o-{number}", customer="alice", total=number / 100, quantity=3)
                        for number in range(start, start + GROUP)
                    )
                )
            begun = time.perf_counter()
            await projected.project()
            spent = time.perf_counter() - begun
            (stands,) = await projected.checkpoints()
            assert stands.applied == NUMBER, stands
    return NUMBER / spent
