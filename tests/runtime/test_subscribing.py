"""Subscriptions that last as long as somebody listens, on each broker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from engine.brokers.rabbitmq import calls
from engine.errors import UsageError
from engine.model.event import Event, EventData
from engine.model.message import Message
from engine.runtime.application import Engine
from engine.runtime.listening import Subscriber
from engine.testing.proxy import Proxy
from tests.runtime.events import Step
from tests.support.amqp import Leftovers
from tests.support.inprocess import PATIENCE, own_settings


class Other(EventData, type="other.thing"):
    number: int


class Text(EventData, type="test.text"):
    text: str


@pytest.fixture(params=["embedded", "rabbitmq"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> AsyncIterator[Engine]:
    url = None
    if request.param == "rabbitmq":
        url = request.getfixturevalue("amqp_url")
    async with Engine(own_settings(tmp_path, app, url)) as engine:
        yield engine
        await engine.broker.delete_exchange(engine.settings.exchange)


async def take(subscriber: Subscriber[Any], count: int) -> list[Event[Any]]:
    """The next events."""
    found: list[Event[Any]] = []
    async with asyncio.timeout(PATIENCE):
        async for event in subscriber:
            found.append(event)
            if len(found) == count:
                break
    return found


async def test_events_are_heard_by_pattern_and_by_class(engine: Engine) -> None:
    async with engine.subscribe("test.*") as raw, engine.subscribe(Step, Other) as typed:
        sent = await engine.publish_many([Step(number=1), Other(number=2), Step(number=3)])
        assert await take(typed, 3) == sent
        heard = await take(raw, 2)
        assert [(event.type, event.data) for event in heard] == [
            ("test.step", {"number": 1}),
            ("test.step", {"number": 3}),
        ]
        assert [event.id for event in heard] == [sent[0].id, sent[2].id]
        assert heard[0].aggregate_id == "1"


async def test_each_subscriber_hears_all_and_one_who_left_nothing(engine: Engine) -> None:
    async with engine.subscribe("#") as stays:
        async with engine.subscribe("#") as leaves:
            await engine.publish(Step(number=1))
            assert (await take(leaves, 1))[0].data == {"number": 1}
        await engine.publish(Step(number=2))
        assert [event.data["number"] for event in await take(stays, 2)] == [1, 2]
    with pytest.raises(UsageError, match="is over"):
        await leaves.open()


async def test_a_loop_without_more_words_ends_its_subscription(engine: Engine) -> None:
    subscriber = engine.subscribe(Step)
    listening = asyncio.create_task(take(subscriber, 2))
    while subscriber._subscription is None:
        await asyncio.sleep(0.01)
    await engine.publish_many([Step(number=1), Step(number=2)])
    assert [event.data.number for event in await listening] == [1, 2]
    async with asyncio.timeout(PATIENCE):
        while not subscriber._ended:  # the loop's own end closes it
            await asyncio.sleep(0.01)


async def test_a_slow_listener_misses_the_oldest(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    async with engine.subscribe(Step, buffer=10) as slow, engine.subscribe(Step) as quick:
        with caplog.at_level(logging.WARNING):
            await engine.publish_many(Step(number=number) for number in range(50))
            await take(quick, 50)
            async with asyncio.timeout(PATIENCE):
                while slow.missed < 40:
                    await asyncio.sleep(0.01)
        assert [event.data.number for event in await take(slow, 10)] == list(range(40, 50))
        assert slow.missed == 40
        assert "is too slow" in caplog.text


async def test_large_events_fill_the_buffer_by_their_bytes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.runtime.listening.BUFFER_BYTES", 10_000)
    async with engine.subscribe(Text) as slow, engine.subscribe(Text) as quick:
        for number in range(6):
            await engine.publish(Text(text=f"{number}" * 3000))
            await take(quick, 1)
        async with asyncio.timeout(PATIENCE):
            while slow.missed < 3:
                await asyncio.sleep(0.01)
        assert [event.data.text[0] for event in await take(slow, 3)] == ["3", "4", "5"]
        too_large = b'{"text": "%s"}' % (b"x" * engine.settings.max_body)
        await engine.publish_messages([("test.text", Message(too_large))])
        await engine.publish(Text(text="y" * 9_900))
        assert [event.data.text[0] for event in await take(slow, 1)] == ["y"]
        assert (slow.missed, slow.unreadable) == (3, 1)


async def test_what_cannot_be_read_is_left_out(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    async with engine.subscribe(Step) as subscriber:
        with caplog.at_level(logging.WARNING):
            await engine.publish_messages([("test.step", Message(b"no json")), ("test.step", Message(b'{"x": 1}'))])
            await engine.publish(Step(number=3))
            assert [event.data.number for event in await take(subscriber, 1)] == [3]
        assert subscriber.unreadable == 2
        assert "cannot be read" in caplog.text


async def test_to_close_the_engine_ends_its_loops(engine: Engine) -> None:
    async with Engine(engine.settings) as other:
        subscriber = other.subscribe("#")
        listening = asyncio.create_task(take(subscriber, 1))
        while subscriber._subscription is None:
            await asyncio.sleep(0.01)
    assert await listening == []


async def test_a_pattern_that_nothing_ever_matched_is_said(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    database = engine._database
    assert database is not None
    await database.write(
        lambda connection: connection.exec_driver_sql(
            "INSERT INTO warren_events (event_id, event_type, origin, queue, source, exchange, routing_key,"
            " time, recorded, body, properties) VALUES ('e', 'test.step', 'emitted', '', '', '', '', 0, 0, '', '')"
        )
    )
    with caplog.at_level(logging.WARNING):
        async with engine.subscribe("test.*"):
            assert not caplog.records
        async with engine.subscribe("tset.step"):
            assert "no event that tset.step matches was ever logged here. Did you mean 'test.step'?" in caplog.text


async def test_subscriptions_that_cannot_be(engine: Engine) -> None:
    for wrong in ("", "a..b", "or*er"):
        with pytest.raises(UsageError):
            engine.subscribe(wrong)
    with pytest.raises(UsageError, match=r'by class or type: subscribe\(OrderPlaced\) or subscribe\("order'):
        engine.subscribe()
    with pytest.raises(UsageError, match="buffer"):
        engine.subscribe("#", buffer=0)


async def test_after_a_lost_connection_it_listens_again(
    amqp_url: str, tmp_path: Path, app: str, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "LONGEST_RETRY", 0.2)
    leftovers.exchanges(f"{app}.events")
    parts = urlsplit(amqp_url)
    async with Proxy(parts.hostname or "", parts.port or 5672) as proxy:
        url = amqp_url.replace(f":{parts.port}", f":{proxy.port}")
        async with Engine(own_settings(tmp_path, app, url), database=False) as engine, engine.subscribe(Step) as heard:
            await engine.publish(Step(number=1))
            assert [event.data.number for event in await take(heard, 1)] == [1]
            proxy.close_all()
            async with asyncio.timeout(PATIENCE):
                while not heard.gaps:
                    await asyncio.sleep(0.01)
            await engine.publish(Step(number=2))
            assert [event.data.number for event in await take(heard, 1)] == [2]
