"""The engine in an application: publishing in order, through outages, and to one queue."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engine.brokers.rabbitmq import calls
from engine.errors import BrokerUnavailable, PublishRefused, Unroutable, UsageError
from engine.model.message import Message
from engine.model.topology import Binding, Exchange, Queue, Topology
from engine.runtime import publishing
from engine.runtime.application import Engine
from engine.testing.proxy import Proxy
from tests.runtime.events import Step
from tests.support.amqp import Leftovers
from tests.support.workers import Fleet

QUORUM = {"x-queue-type": "quorum"}


@pytest.fixture
def local(tmp_path: Path, app: str) -> Fleet:
    """Settings only: these tests bring their own way to the broker."""
    return Fleet(tmp_path, "embedded://", app)


@pytest.fixture(params=["embedded", "rabbitmq"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path, app: str) -> AsyncIterator[Engine]:
    """An engine on each broker, without a database."""
    url = f"embedded://{tmp_path}/broker.db"
    if request.param == "rabbitmq":
        url = request.getfixturevalue("amqp_url")
    async with Engine(Fleet(tmp_path, url, app).settings(), database=False) as engine:
        yield engine
        for name in ("all", "one", "two", "small"):
            await engine.broker.delete_queue(f"{app}.{name}")
        await engine.broker.delete_exchange(engine.settings.exchange)


async def listen(engine: Engine, queue: str, **arguments: str | int) -> None:
    """A queue for all events of the engine."""
    exchange = engine.settings.exchange
    await engine.broker.declare(
        Topology((Exchange(exchange),), (Queue(queue, {**QUORUM, **arguments}),), (Binding(exchange, queue, "#"),))
    )


async def numbers(engine: Engine, queue: str) -> list[int]:
    """What waits in the queue, in its order; takes it out."""
    found = []
    while (message := await engine.broker.get(queue)) is not None:
        found.append(read(message))
    return found


def read(message: Message) -> int:
    number: int = json.loads(message.body)["data"]["number"]
    return number


async def test_many_events_arrive_in_their_order(engine: Engine, app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "GROUP", 64)
    queue = f"{app}.all"
    await listen(engine, queue)
    events = await engine.publish_many(Step(number=number) for number in range(300))
    assert [event.data.number for event in events] == list(range(300))
    assert await numbers(engine, queue) == list(range(300))


async def test_an_event_is_published_again_under_its_id(engine: Engine, app: str) -> None:
    queue = f"{app}.all"
    await listen(engine, queue)
    event = await engine.publish(Step(number=1))
    assert await engine.publish_many([event]) == [event]
    assert await engine.publish_many([]) == []
    assert await engine.publish_many([], delay=0.1) == []
    ids = {message.message_id for _ in range(2) if (message := await engine.broker.get(queue))}
    assert ids == {event.id}


async def test_nothing_is_sent_when_one_event_cannot_be_written(engine: Engine, app: str) -> None:
    queue = f"{app}.all"
    await listen(engine, queue)
    with pytest.raises(UsageError):
        await engine.publish_many([Step(number=1), Step(number=2**70)])
    assert await numbers(engine, queue) == []


async def test_a_command_goes_to_exactly_one_queue(engine: Engine, app: str) -> None:
    wanted, other = f"{app}.one", f"{app}.two"
    await listen(engine, other)
    await engine.broker.declare(Topology(queues=(Queue(wanted, QUORUM),)))
    event = await engine.send(Step(number=7), queue=wanted, correlation_id="c-1")
    message = await engine.broker.get(wanted)
    assert message is not None
    assert (read(message), message.message_id, message.correlation_id) == (7, event.id, "c-1")
    assert await numbers(engine, other) == []
    with pytest.raises(Unroutable):
        await engine.send(Step(number=8), queue=f"{app}.nobody")


async def test_the_error_tells_of_each_event(engine: Engine, app: str) -> None:
    """A full queue refuses some: those that were confirmed and those that were not are known apart."""
    queue = f"{app}.small"
    await listen(engine, queue, **{"x-max-length": 5, "x-overflow": "reject-publish"})
    errors: list[PublishRefused] = []
    for start in range(0, 200, 20):
        try:
            await engine.publish_many([Step(number=number) for number in range(start, start + 20)])
        except PublishRefused as error:
            errors.append(error)
    assert errors
    for error in errors:
        assert len(error.events) == len(error.results) == 20
        confirmed = sum(result is None for result in error.results)
        assert f"{confirmed} of 20 events were confirmed" in error.message
        assert len(error.unconfirmed) == 20 - confirmed


@pytest.mark.faults
async def test_an_outage_is_waited_out(amqp_url: str, app: str, local: Fleet, leftovers: Leftovers) -> None:
    """The connection is cut again and again in the middle: every event arrives, and the call never fails."""
    parts = urlsplit(amqp_url)
    queue = f"{app}.all"
    leftovers.queues(queue)
    leftovers.exchanges(f"{app}.events")
    async with Proxy(parts.hostname or "", parts.port or 5672) as proxy:
        url = amqp_url.replace(f":{parts.port}", f":{proxy.port}")
        async with Engine(local.settings(broker=url), database=False) as engine:
            await listen(engine, queue)
            publishing_all = asyncio.create_task(engine.publish_many([Step(number=number) for number in range(10_000)]))
            cuts = 0
            while not publishing_all.done() and cuts < 4:
                await asyncio.sleep(0.1)
                cuts += bool(proxy.close_all())
            events = await publishing_all
            assert cuts
            found = await numbers_at(amqp_url, queue, len(events))
    assert found == set(range(10_000))


@pytest.mark.faults
async def test_an_outage_past_the_time_out_says_how_many_were_confirmed(
    amqp_url: str, app: str, local: Fleet, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "LONGEST_RETRY", 0.5)
    parts = urlsplit(amqp_url)
    queue = f"{app}.all"
    leftovers.queues(queue)
    leftovers.exchanges(f"{app}.events")
    async with Proxy(parts.hostname or "", parts.port or 5672) as proxy:
        url = amqp_url.replace(f":{parts.port}", f":{proxy.port}")
        async with Engine(local.settings(broker=url), database=False, timeout=1.5) as engine:
            await listen(engine, queue)
            many = [Step(number=number) for number in range(12_000)]
            publishing_all = asyncio.create_task(engine.publish_many(many))
            while not (depth := (await engine.broker.depths([queue]))[queue]) or depth.ready < 1000:
                await asyncio.sleep(0.01)
            await proxy.refuse()
            refused = time.monotonic()
            with pytest.raises(BrokerUnavailable) as caught:
                await publishing_all
            assert time.monotonic() - refused < 6
            error = caught.value
            confirmed = [event for event, result in zip(error.events, error.results, strict=True) if result is None]
            assert 0 < len(confirmed) < len(many)
            assert error.message.startswith(f"{len(confirmed)} of 12000 events were confirmed")
            await proxy.start()
            engine.timeout = 20.0
            await engine.publish_many(error.unconfirmed)
            assert await numbers_at(amqp_url, queue, len(many)) == set(range(12_000))


async def numbers_at(url: str, queue: str, least: int) -> set[int]:
    """The numbers in a queue of RabbitMQ, which holds at least so many messages."""
    import aio_pika

    found: set[int] = set()
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=2000)
        source = await channel.get_queue(queue)
        left = source.declaration_result.message_count or 0
        assert left >= least
        async with source.iterator(no_ack=True) as messages:
            async for message in messages:
                found.add(json.loads(message.body)["data"]["number"])
                left -= 1
                if not left:
                    break
    return found
