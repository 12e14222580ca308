"""100,000 failures: how soon the first rows are there, and what a page, a filter, the groups and the intake cost."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.filling import NOW, fill, fill_in_bulk
from benchmarks.table import against, table
from engine.operations import failures
from engine.operations.filtering import parse_filter
from engine.operations.masking import Masking
from engine.storage.database import Database
from tests.support.postgres import PostgresServer, find_programs

NUMBER = 100_000
#: How often each figure is measured; the median counts.
TIMES = 9
ROWS = 50
MASKING = Masking()

FILTERS = {
    "handler": "handler:h3",
    "handler and type": "handler:h3 type:order.t3",
    "beginning of an exception": "exception:Exc1*",
    "field that one has": "data.order_id=o-5000",
    "field that all have": "data.currency=EUR",
    "text that one has": '"order o-77777"',
    "text that all have": "provider",
    "text that none has": "zebra",
    "age": "newer:6h",
    "event id": "event:0189-00005000",
    "five terms": "handler:h3 exception:Exc* newer:20h provider data.currency=EUR",
}


def failing(url: str, runs: int, count: int) -> None:
    """On SQLite, and on a PostgreSQL of its own where there is one; `url` and `count` do not matter here."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(f"sqlite:///{Path(folder)}/warren.db"))
    if find_programs() is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = PostgresServer(Path(folder))
        try:
            server.start()
            asyncio.run(_measure_on_postgresql(server.url))
        finally:
            server.stop()


async def _measure(url: str) -> None:
    each = await fill(url, NUMBER)
    rows = [("intake, microseconds a failure", f"{each:.0f}"), ("first rows, database opened anew", await _first(url))]
    database = await Database.open(url)
    try:
        for name, limit, work in _looks(database):
            rows.append((name, against(await _median(work), limit, at_most=True)))
    finally:
        await database.close()
    table(f"{NUMBER:,} failures on SQLite, {ROWS} rows a page, milliseconds, medians of {TIMES}", rows)


async def _measure_on_postgresql(url: str) -> None:
    await fill_in_bulk(url, NUMBER)
    rows = [("first rows, database opened anew", await _first(url))]
    database = await Database.open(url)
    try:
        for name, limit, work in _looks(database):
            rows.append((name, against(await _median(work), limit, at_most=True)))
    finally:
        await database.close()
    table(f"{NUMBER:,} failures on PostgreSQL, {ROWS} rows a page, milliseconds, medians of {TIMES}", rows)


def _looks(database: Database) -> list[tuple[str, float, Callable[[], Awaitable[Any]]]]:
    def page(text: str, **more: Any) -> Callable[[], Awaitable[Any]]:
        wanted = parse_filter(text, now=NOW)
        return lambda: failures.page(database, wanted, limit=ROWS, masking=MASKING, total=False, **more)

    def groups(text: str) -> Callable[[], Awaitable[Any]]:
        wanted = parse_filter(text, now=NOW)
        return lambda: failures.groups(database, wanted, limit=100, masking=MASKING, now=NOW)

    opened = parse_filter("", now=NOW)
    return [
        ("page", 50, page("")),
        ("page in the depths", 50, page("", after=(NOW - 80_000, 1))),
        ("page after a jump of 50,000 rows", 50, page("", skip=50_000)),
        *((f"filter: {name}", 50, page(text)) for name, text in FILTERS.items()),
        ("count of all that are open", 50, lambda: failures.count(database, opened)),
        ("groups, with sparklines", 50, groups("")),
        ("groups of a handler", 50, groups("handler:h3")),
        ("groups by a rare text", 50, groups('"order o-77"')),
        ("groups by a text that all have", 250, groups("provider")),
        ("ids of all", 250, lambda: failures.ids(database, opened)),
    ]


async def _median(work: Callable[[], Awaitable[Any]]) -> float:
    taken = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


async def _first(url: str) -> str:
    """From the opening of the database to the rows, their number, and the largest groups' beginning."""

    async def work() -> None:
        database = await Database.open(url)
        try:
            await failures.page(database, parse_filter("", now=NOW), limit=ROWS, masking=MASKING)
        finally:
            await database.close()

    return against(await _median(work), 100, at_most=True)
