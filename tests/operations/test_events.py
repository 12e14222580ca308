"""The log of events as an operator searches and follows it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import create_engine

from engine.errors import ConfigurationError, UsageError
from engine.model.message import Message
from engine.operations.events import (
    EventFilter,
    Origin,
    before_last,
    detail_dict,
    make_filter,
    moment,
    one,
    page,
    tail,
)
from engine.operations.masking import UNMASKED, Masking
from engine.storage import event_log
from engine.storage.database import Database
from engine.storage.event_log import Entry

BODY = b'{"eventType": "order.placed", "eventId": "e", "data": {"id": 42, "password": "hunter2"}}'


def entry(event_id: str, kind: str = "order.placed", body: bytes = BODY) -> Entry:
    message = Message(body, {"authorization": "Bearer abcdef123456"}, message_id=event_id, type=kind)
    return Entry(
        *(event_id, kind, "order", "42", None, Origin.JOURNALLED, "", "shop"),
        *("v-7", None, "events", kind, 1000.0, None, message),
    )


async def log(database: Database, *event_ids: str, kind: str = "order.placed", body: bytes = BODY) -> None:
    made = [entry(event_id, kind, body) for event_id in event_ids]
    await database.write(lambda connection: event_log.append(connection, made, now=time.time()))


def test_a_filter_is_made_of_words() -> None:
    wanted = make_filter(
        now=10_000.0,
        types=["order.*"],
        aggregate="order/42/a",
        correlation_id="v-7",
        origin="journalled",
        since="1h",
        until="1970-01-01T02:00:00",
    )
    assert wanted == EventFilter(
        types=["order.*"],
        aggregate_type="order",
        aggregate_id="42/a",
        correlation_id="v-7",
        origin=Origin.JOURNALLED,
        since=6400.0,
        until=7200.0,
    )
    assert make_filter(now=0.0, aggregate="order") == EventFilter(aggregate_type="order")
    assert moment("2026-11-23T11:00:00+01:00", 0.0) == moment("2026-11-23T10:00", 0.0) == 1_795_428_000.0


NO_FILTER: list[dict[str, Any]] = [
    {"types": ["ord*"]},
    {"types": [""]},
    {"aggregate": "/42"},
    {"aggregate": "order/"},
    {"aggregate": ""},
    {"since": "soon"},
    {"until": "-1h"},
    {"origin": "mine"},
]


@pytest.mark.parametrize("words", NO_FILTER)
def test_words_that_make_no_filter_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        make_filter(now=0.0, **words)


async def test_one_event_is_shown_without_its_secrets(database: Database) -> None:
    await log(database, "e-1", "7")
    await log(database, "plain", body=b"\xff\x00")
    shown = detail_dict(await one(database, "e-1", masking=Masking()))
    assert (shown["data"], shown["headers"]) == ({"id": 42, "password": "•••"}, {"authorization": "•••"})
    assert (await one(database, "2", masking=UNMASKED)).row.event_id == "7"
    assert (await one(database, "7", masking=UNMASKED)).row.event_id == "7"  # an id comes before a position
    assert detail_dict(await one(database, "plain", masking=UNMASKED))["body_base64"] == "/wA="
    for nothing in ("17", "e-9", "9" * 40, "\x00"):
        with pytest.raises(UsageError, match="the log has no event"):
            await one(database, nothing, masking=UNMASKED)


async def test_pages_end(database: Database) -> None:
    await log(database, *(f"e-{number}" for number in range(5)))
    first = await page(database, EventFilter(), limit=3)
    assert ([row.position for row in first.rows], first.before) == ([5, 4, 3], 3)
    second = await page(database, EventFilter(), limit=3, before=first.before)
    assert ([row.position for row in second.rows], second.before) == ([2, 1], None)


@pytest.mark.parametrize("last", [0, 1, 5])
async def test_what_is_committed_late_is_not_left_out_of_a_tail_that_began_before(postgres_url: str, last: int) -> None:
    database = await Database.open(postgres_url, migrate=True)
    source = create_engine(database.address.target.replace("postgresql:", "postgresql+psycopg:", 1))
    await log(database, "before")
    with source.connect() as late:
        event_log.append(late, [entry("late")], now=1.0)
        await log(database, "quick")
        begin = await before_last(database, EventFilter(), last)
        late.commit()
    source.dispose()
    seen: list[str] = []
    async for detail in tail(database, EventFilter(), masking=UNMASKED, after=begin, interval=0.01):
        seen.append(detail.row.event_id)
        if seen[-1] == "quick":
            break
    assert seen == (["late", "quick"] if last < 2 else ["before", "late", "quick"])
    await database.close()


async def test_the_log_is_followed_as_it_grows(database: Database) -> None:
    await log(database, "before")
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def follow(after: int | None, **wanted: Any) -> None:
        async for detail in tail(
            database, EventFilter(**wanted), masking=UNMASKED, after=after, interval=0.01
        ):  # fmt: skip
            seen.put_nowait(detail.row.event_id)

    async with asyncio.timeout(10):
        whole = asyncio.create_task(follow(0, types=["order.*"]))
        assert await seen.get() == "before"
        await log(database, "e-1", "e-2")
        await log(database, "other", kind="payment.taken")
        await log(database, *(f"many-{number:04}" for number in range(1100)))
        got = [await seen.get() for _ in range(1102)]
        assert got == ["e-1", "e-2", *(f"many-{number:04}" for number in range(1100))]
        whole.cancel()
