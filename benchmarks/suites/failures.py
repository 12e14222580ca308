"""100,000 failures: how soon the first rows are there, and what a page, a filter, the groups and the intake cost."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from benchmarks.table import against, table
from engine.model.message import Message
from engine.operations import failures
from engine.operations.filtering import parse_filter
from engine.operations.masking import Masking
from engine.storage import failures as stored
from engine.storage.database import Database
from engine.storage.failures import Failure

NUMBER = 100_000
#: Dead letters that the intake writes in one transaction.
GROUP = 100
#: How often each figure is measured; the median counts.
TIMES = 9
ROWS = 50
NOW = 1_790_000_000.0
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
    """On SQLite; `url` and `count` do not matter here."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(f"sqlite:///{Path(folder)}/warren.db"))


async def _measure(url: str) -> None:
    each = await _fill(url)
    rows = [("intake, microseconds a failure", f"{each:.0f}"), ("first rows, database opened anew", await _first(url))]
    database = await Database.open(url)
    try:
        for name, limit, work in _looks(database):
            rows.append((name, against(await _median(work), limit, at_most=True)))
    finally:
        await database.close()
    table(f"{NUMBER:,} failures on SQLite, {ROWS} rows a page, milliseconds, medians of {TIMES}", rows)


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


async def _fill(url: str) -> float:
    """Write the failures as the intake does; microseconds for each."""
    database = await Database.open(url, migrate=True)
    chance = random.Random(7)
    spent = 0.0
    try:
        for start in range(0, NUMBER, GROUP):
            group = [_failure(number, chance) for number in range(start, start + GROUP)]
            begun = time.perf_counter()
            await database.write(lambda connection, group=group: stored.add(connection, group))  # type: ignore[misc]
            spent += time.perf_counter() - begun
    finally:
        await database.close()
    return spent / NUMBER * 1e6


def _failure(number: int, chance: random.Random) -> Failure:
    handler, exception = f"h{number % 20}", f"Exc{number % 50}"
    event_id, arrived = f"0189-{number:08}", NOW - 86_400 + number * 0.86
    data = {"order_id": f"o-{number}", "customer": f"c{number % 1000}", "total": number / 100, "currency": "EUR"}
    body = json.dumps(
        {
            "eventType": "order.placed",
            "eventId": event_id,
            "data": {**data, "lines": [{"sku": f"s{number % 300}", "n": 1}]},
        }
    ).encode()
    message = f"the provider did not answer within {chance.random():.3f} s for order o-{number}"
    return Failure(
        queue=f"shop.orders.{handler}",
        event_id=event_id,
        run=1,
        body_hash=blake2b(body, digest_size=16).digest(),
        event_type=f"order.t{number % 5}",
        handler=handler,
        worker="w",
        reason="attempts exhausted",
        exception=exception,
        message=message,
        traceback="Traceback (most recent call last):\n" * 10,
        fingerprint=blake2b(f"{handler}{exception}".encode(), digest_size=6).hexdigest(),
        attempts=4,
        first_failed=arrived,
        last_failed=arrived,
        arrived=arrived,
        exchange="events",
        routing_key="order.placed",
        correlation_id=f"c{number // 3}",
        original=Message(body, {"traceparent": "00-1-2"}, message_id=event_id, type="order.placed"),
    )
