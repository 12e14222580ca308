"""Declares: many at once, and one that is refused harms no other."""

from __future__ import annotations

import asyncio

import pytest

from engine.brokers.base import Depth
from engine.brokers.rabbitmq.broker import RabbitBroker
from engine.errors import AccessRefused, ConfigurationError, QueueMissing, TopologyMismatch
from engine.model.topology import Binding, Exchange, Queue, Topology
from tests.brokers.rabbitmq.conftest import Inbox, MakeQueue, to
from tests.support.amqp import Leftovers

QUORUM = {"x-queue-type": "quorum"}


async def test_a_mismatch_names_its_argument_and_stops_nobody(
    broker: RabbitBroker, make_queue: MakeQueue, leftovers: Leftovers, app: str
) -> None:
    inbox = Inbox()
    consumed = await make_queue("consumed")
    await broker.consume(consumed, prefetch=5, receive=inbox.receive)
    taken = await make_queue("taken", x_delivery_limit=5)
    names = [f"{app}.{number}" for number in range(100)]
    leftovers.queues(*names)
    wrong = Queue(taken, QUORUM | {"x-delivery-limit": 6})
    queues = [Queue(name, QUORUM) for name in names]
    with pytest.raises(TopologyMismatch) as caught:
        await broker.declare(Topology(queues=(*queues[:50], wrong, *queues[50:])))
    assert caught.value.message == (
        f"The queue {taken!r} exists on the broker with another x-delivery-limit: wanted 6, the broker has 5."
    )
    assert "warren topology diff" in caught.value.hint
    assert None not in (await broker.depths(names)).values()
    assert await broker.publish([to(consumed)]) == [None]
    await inbox.until(1)


async def test_several_mismatches(broker: RabbitBroker, make_queue: MakeQueue) -> None:
    first, second = await make_queue("a", x_delivery_limit=5), await make_queue("b", x_delivery_limit=5)
    wanted = Topology(queues=tuple(Queue(name, QUORUM | {"x-delivery-limit": 6}) for name in (first, second)))
    with pytest.raises(TopologyMismatch, match="1 more"):
        await broker.declare(wanted)
    assert [(each.name, each.problem) for each in await broker.differences(wanted)] == [
        (first, "mismatch"),
        (second, "mismatch"),
    ]


async def test_a_name_too_long_for_the_broker_s_answer(broker: RabbitBroker, leftovers: Leftovers, app: str) -> None:
    """The broker cuts its words at 255 bytes, so the culprit is found one by one."""
    long = f"{app}.{'x' * 230}"
    leftovers.queues(long, f"{app}.other")
    await broker.declare(Topology(queues=(Queue(long, QUORUM),)))
    wanted = Topology(queues=(Queue(long, QUORUM | {"x-delivery-limit": 6}), Queue(f"{app}.other", QUORUM)))
    with pytest.raises(TopologyMismatch):
        await broker.declare(wanted)
    assert (await broker.depths([f"{app}.other"]))[f"{app}.other"] is not None


async def test_a_refused_name(broker: RabbitBroker, app: str) -> None:
    with pytest.raises(AccessRefused):
        await broker.declare(Topology((Exchange(f"amq.{app}"),)))


async def test_a_binding_without_its_exchange(broker: RabbitBroker, make_queue: MakeQueue, app: str) -> None:
    queue = await make_queue()
    with pytest.raises(QueueMissing, match=app):
        await broker.declare(Topology(bindings=(Binding(f"{app}.none", queue, "#"),)))


@pytest.mark.parametrize("name", ["q" * 256, "\ud800"])
async def test_a_name_that_amqp_cannot_carry(broker: RabbitBroker, name: str) -> None:
    with pytest.raises(ConfigurationError):
        await broker.declare(Topology(queues=(Queue(name, QUORUM),)))
    with pytest.raises(ConfigurationError):
        await broker.consume(name, prefetch=1, receive=lambda _: None)
    with pytest.raises(ConfigurationError):
        await broker.depths([name])


async def test_arguments_that_the_broker_does_not_know(broker: RabbitBroker, app: str) -> None:
    with pytest.raises(TopologyMismatch, match="x-max-priority"):
        await broker.declare(Topology(queues=(Queue(app, QUORUM | {"x-max-priority": 5}),)))


async def test_differences_change_nothing(broker: RabbitBroker, app: str) -> None:
    wanted = Topology((Exchange(app),), (Queue(app, QUORUM),), (Binding(app, app, "#"),))
    found = [(each.kind, each.problem) for each in await broker.differences(wanted)]
    assert found == [("exchange", "missing"), ("queue", "missing")]
    assert await broker.depths([app]) == {app: None}


async def test_depths_of_many_queues_some_of_which_are_missing(
    broker: RabbitBroker, leftovers: Leftovers, app: str
) -> None:
    """They are asked for together, and a missing one closes the channel in the midst of the others."""
    names = [f"{app}.{number:03}" for number in range(200)]
    missing = {0, 1, 2, 70, 128, 130, 199}
    there = [name for number, name in enumerate(names) if number not in missing]
    leftovers.queues(*there)
    await broker.declare(Topology(queues=tuple(Queue(name, {}) for name in there)))
    filled = there[5::40]
    for index, name in enumerate(filled):
        await broker.publish([to(name)] * (index + 1))
    wanted = {name: Depth(0, 0) if name in there else None for name in names}
    wanted |= {name: Depth(index + 1, 0) for index, name in enumerate(filled)}
    assert await broker.depths(names) == wanted
    twice = [there[0], names[0], there[0], filled[0], names[0]]
    assert await broker.depths(twice) == {there[0]: Depth(0, 0), names[0]: None, filled[0]: Depth(1, 0)}


async def test_many_who_ask_at_once_are_each_answered(broker: RabbitBroker, make_queue: MakeQueue, app: str) -> None:
    """Also while others give up in the midst of it."""
    one, other = await make_queue("one"), await make_queue("other")
    await broker.publish([to(other)] * 3)

    async def asks(number: int) -> dict[str, Depth | None]:
        return await broker.depths([one, other] if number % 2 else [other, f"{app}.missing", one])

    for turn in range(40):
        tasks = [asyncio.create_task(asks(number)) for number in range(12)]
        await asyncio.sleep(0.0005 * (turn % 12))
        tasks[2].cancel()
        tasks[5].cancel()
        for number, found in enumerate(await asyncio.gather(*tasks, return_exceptions=True)):
            if number in (2, 5) and isinstance(found, asyncio.CancelledError):
                continue
            assert found == {one: Depth(0, 0), other: Depth(3, 0)} | ({} if number % 2 else {f"{app}.missing": None})
