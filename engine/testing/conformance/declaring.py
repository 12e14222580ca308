"""Declaring, comparing, measuring, getting and deleting."""

from __future__ import annotations

from typing import Final

from engine.brokers.base import Depth
from engine.errors import QueueMissing, TopologyMismatch, Unroutable
from engine.model.message import Message, Publication
from engine.model.topology import Binding, Exchange, Queue, Topology
from engine.testing.conformance.bed import (
    Bed,
    Check,
    Make,
    NotConforming,
    expect,
    expect_equal,
    ids_of,
    to_queue,
)


async def check_declaring_twice_keeps_messages(make: Make) -> None:
    """What is there already stays as it is, with what is in it."""
    async with Bed(make) as bed:
        queue = Queue(bed.name("q"), {"x-queue-type": "quorum", "x-delivery-limit": 5})
        topology = Topology(bed.exchanges, (queue,), (Binding(bed.topic, queue.name, bed.uid),))
        await bed.broker.declare(topology)
        await bed.send(queue.name, "1")
        await bed.broker.declare(topology)
        await (await bed.connect()).declare(topology)
        expect_equal(ids_of(await bed.drain(queue.name)), ["1"], "The messages after declaring again")


async def check_other_arguments_are_a_mismatch(make: Make) -> None:
    """A queue that exists otherwise is `TopologyMismatch`; neither it nor its neighbours notice."""
    async with Bed(make) as bed:
        queue = await bed.queue("q", {"x-delivery-limit": 5})
        other = await bed.queue("other")
        inbox, subscription = await bed.consume(other)
        await bed.send(queue, "1")
        for name, wanted in (
            (queue, Topology(queues=(Queue(queue, {"x-queue-type": "quorum", "x-delivery-limit": 6}),))),
            (bed.topic, Topology(exchanges=(Exchange(bed.topic, "direct"),))),
        ):
            try:
                await bed.broker.declare(wanted)
            except TopologyMismatch as error:
                expect(name in str(error), f"The mismatch does not name {name}: {error}")
            else:
                raise NotConforming(f"A declare with other arguments raised nothing: {wanted}")
        await bed.send(other, "2")
        await subscription.ack(await inbox.until(1))
        expect_equal(ids_of(await bed.drain(queue)), ["1"], "The messages in the queue that mismatched")


async def check_differences(make: Make) -> None:
    """They name what is missing and what is otherwise, and looking changes nothing."""
    async with Bed(make) as bed:
        there = await bed.queue("there", {"x-delivery-limit": 5})
        missing = bed.name("missing")
        wanted = Topology(
            (bed.exchanges[0], Exchange(bed.direct, "topic"), Exchange(f"{bed.uid}.none")),
            (
                Queue(there, {"x-queue-type": "quorum", "x-delivery-limit": 6}),
                Queue(missing, {"x-queue-type": "quorum"}),
            ),
        )
        for _ in range(2):
            found = {(difference[:3]) for difference in await bed.broker.differences(wanted)}
            expect_equal(
                found,
                {
                    ("exchange", bed.direct, "mismatch"),
                    ("exchange", f"{bed.uid}.none", "missing"),
                    ("queue", there, "mismatch"),
                    ("queue", missing, "missing"),
                },
                "The differences",
            )
        same = Topology(bed.exchanges, (Queue(there, {"x-queue-type": "quorum", "x-delivery-limit": 5}),))
        expect_equal(await bed.broker.differences(same), [], "The differences of what is as wanted")
        await bed.send(there, "1")


async def check_brokers_share_everything(make: Make) -> None:
    """What one connection declares and publishes, another consumes."""
    async with Bed(make) as bed:
        other = await bed.connect()
        queue = await bed.queue("q")
        await bed.bind(queue, f"{bed.uid}.#")
        inbox, subscription = await bed.consume(queue, broker=other)
        await bed.send(queue, "1", "2")
        await subscription.ack(await inbox.until(2))
        await bed.send(queue, "3")
        await inbox.until(3)
        expect_equal(inbox.ids, ["1", "2", "3"], "What the other connection consumed")


async def check_depths(make: Make) -> None:
    """They count what waits and who consumes, are None where no queue is, and change nothing."""
    async with Bed(make) as bed:
        queue, empty, missing = await bed.queue("q"), await bed.queue("empty"), bed.name("missing")
        await bed.send(queue, "1", "2", "3")
        for _ in range(3):
            found = await bed.broker.depths([queue, missing, empty])
            expect_equal(found, {queue: Depth(3, 0), empty: Depth(0, 0), missing: None}, "The depths")
        expect_equal(await bed.broker.depths([]), {}, "The depths of no queues")
        inbox, subscription = await bed.consume(queue, prefetch=1)
        (first,) = await inbox.until(1)
        expect(not first.redelivered, "A message that was only counted is redelivered")
        await bed.until_ready(queue, 2)
        expect_equal((await bed.broker.depths([queue]))[queue], Depth(2, 1), "The depth of a consumed queue")
        await subscription.close()


async def check_get_and_delete(make: Make) -> None:
    """`get` takes one message at once; a deleted queue is gone with what was in it."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        expect_equal(await bed.broker.get(queue), None, "What an empty queue gives")
        await bed.send(queue, "1", "2", "3")
        first = await bed.broker.get(queue)
        expect(first is not None and first.message_id == "1", f"The first message taken: {first}")
        await bed.until_ready(queue, 2)
        expect_equal(await bed.broker.delete_queue(queue), 2, "The messages that were in the deleted queue")
        expect_equal(await bed.broker.depths([queue]), {queue: None}, "The depth of the deleted queue")
        (result,) = await bed.broker.publish([to_queue(queue, "4")])
        expect(isinstance(result, Unroutable), f"A publish to the deleted queue: {result!r}")
        await bed.queue("q")
        expect_equal(await bed.drain(queue), [], "What is in the queue that was made again")


async def check_deleting_an_exchange(make: Make) -> None:
    """It goes with its bindings, the queues stay; deleting it again is no error."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        await bed.bind(queue, "#")
        publication = Publication(bed.topic, "a.b", Message(b"x", message_id="1"))
        await bed.publish([publication])
        for _ in range(2):
            await bed.broker.delete_exchange(bed.topic)
        (result,) = await bed.broker.publish([publication])
        expect(result is not None, "A publish to the deleted exchange was confirmed")
        await bed.broker.declare(Topology(bed.exchanges))
        (result,) = await bed.broker.publish([publication])
        expect(isinstance(result, Unroutable), f"A publish to the exchange that was made again: {result!r}")
        expect_equal(ids_of(await bed.drain(queue)), ["1"], "What the queue still holds")


async def check_a_missing_queue_is_said_to_be(make: Make) -> None:
    """To consume or get from a queue that is not there is `QueueMissing`, and hurts nothing else."""
    async with Bed(make) as bed:
        queue, missing = await bed.queue("q"), bed.name("missing")
        inbox, subscription = await bed.consume(queue)
        for attempt in (lambda: bed.consume(missing), lambda: bed.broker.get(missing)):
            try:
                await attempt()
            except QueueMissing as error:
                expect(missing in str(error), f"The error does not name the queue: {error}")
            else:
                raise NotConforming("A queue that is not there was read")
        await bed.send(queue, "1")
        await subscription.ack(await inbox.until(1))


CHECKS: Final[tuple[Check, ...]] = (
    check_declaring_twice_keeps_messages,
    check_other_arguments_are_a_mismatch,
    check_differences,
    check_brokers_share_everything,
    check_depths,
    check_get_and_delete,
    check_deleting_an_exchange,
    check_a_missing_queue_is_said_to_be,
)
