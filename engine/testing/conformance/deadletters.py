"""What is given up goes where the queue says, and nothing is lost on the way."""

from __future__ import annotations

from typing import Final

from engine.model.message import Message, Publication
from engine.model.topology import Queue, Route, Topology, dlq_name, handler_topology
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


def _to(exchange: str, key: str, **more: str | int) -> dict[str, str | int]:
    """The arguments of a queue that dead-letters at least once, as those of Warren do."""
    return {
        "x-dead-letter-exchange": exchange,
        "x-dead-letter-routing-key": key,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        **{f"x-{name.replace('_', '-')}": value for name, value in more.items()},
    }


async def check_rejected_is_dead_lettered(make: Make) -> None:
    """`nack(requeue=False)` moves a message, whole, to the dead-letter exchange; without one it is dropped."""
    async with Bed(make) as bed:
        dead = await bed.queue("dead")
        await bed.bind(dead, dead, exchange=bed.direct)
        queue = await bed.queue("q", _to(bed.direct, dead))
        await bed.publish([to_queue(queue, str(n), bytes([n]), {"n": n, "tenant": "a"}) for n in range(5)])
        inbox, subscription = await bed.consume(queue)
        out = await inbox.until(5)
        await subscription.nack([out[1], out[4]], requeue=False)
        await subscription.ack([out[0], out[2], out[3]])
        letters, reader = await bed.consume(dead)
        found = await letters.until(2)
        expect_equal(sorted(delivery.message.body for delivery in found), [b"\x01", b"\x04"], "The dead letters")
        for delivery in found:
            number = delivery.message.body[0]
            expect_equal(delivery.message.message_id, str(number), "The id of a dead letter")
            mine = {name: delivery.message.headers.get(name) for name in ("n", "tenant")}
            expect_equal(mine, {"n": number, "tenant": "a"}, "The headers of a dead letter")
            expect_equal((delivery.exchange, delivery.routing_key), (bed.direct, dead), "Where it came from")
        await reader.nack(found, requeue=False)
        await reader.close()
        await bed.until_ready(dead, 0)


async def check_expired_goes_to_a_queue(make: Make) -> None:
    """When the queue's TTL is over a message goes on, through the default exchange or a named one, in order."""
    async with Bed(make) as bed:
        for exchange in ("", bed.direct):
            target = await bed.queue(f"target{exchange}")
            if exchange:
                await bed.bind(target, target, exchange=bed.direct)
            timed = await bed.queue(f"timed{exchange}", _to(exchange, target, message_ttl=300))
            inbox, subscription = await bed.consume(target)
            ids = [str(number) for number in range(50)]
            await bed.send(timed, *ids)
            await inbox.until(50)
            expect_equal(inbox.ids, ids, f"What expired through {exchange!r}, in order")
            await subscription.ack(inbox.deliveries)
            await subscription.close()
            await bed.until_ready(timed, 0)


async def check_what_is_taken_in_time_does_not_expire(make: Make) -> None:
    """A TTL ends only what waits: a message out with a consumer stays with it."""
    async with Bed(make) as bed:
        target = await bed.queue("target")
        timed = await bed.queue("timed", _to("", target, message_ttl=400))
        inbox, subscription = await bed.consume(timed, prefetch=1)
        await bed.send(timed, "taken", "waits")
        await inbox.until(1)
        letters, reader = await bed.consume(target)
        await letters.until(1)
        expect_equal((inbox.ids, letters.ids), (["taken"], ["waits"]), "What was delivered and what expired")
        await subscription.ack(inbox.deliveries)
        await reader.ack(letters.deliveries)
        await subscription.close()
        await bed.until_ready(timed, 0)


async def check_delivery_limit(make: Make) -> None:
    """A message that is given back too often is dead-lettered, once, and those behind it are not."""
    async with Bed(make) as bed:
        dead = await bed.queue("dead")
        queue = await bed.queue("q", _to("", dead, delivery_limit=2))
        await bed.send(queue, "bad", "good")
        letters, reader = await bed.consume(dead)
        times = 0
        while not letters.deliveries:
            # Prefetch 1, for what is prefetched beside it counts as delivered too.
            inbox, subscription = await bed.consume(queue, prefetch=1)
            (delivery,) = await inbox.until(1)
            if delivery.message.message_id == "good":
                await subscription.ack([delivery])
                await subscription.close()
                break
            times += 1
            expect(times <= 4, "With the delivery limit 2 a message was delivered five times")
            await subscription.close()
        (letter,) = await letters.until(1)
        expect_equal(letter.message.message_id, "bad", "The dead letter")
        expect(times >= 2, f"With the delivery limit 2 it was dead-lettered after {times} deliveries")
        await reader.ack([letter])
        await reader.close()
        await bed.until_ready(dead, 0)
        # A quick broker has dead-lettered the one before the other was delivered.
        expect(ids_of(await bed.drain(queue)) in ([], ["good"]), "Something else than the good message is left")


async def check_the_topology_of_a_handler(make: Make) -> None:
    """What Warren declares for a handler works: its patterns, its dead-letter queue, and no difference found."""
    async with Bed(make) as bed:
        queue = bed.name("handler")
        bed.name("handler.dlq")
        topology = handler_topology(bed.uid, [Route(queue, bed.topic, [f"{bed.uid}.*"])])
        await bed.broker.declare(topology)
        expect_equal(await bed.broker.differences(topology), [], "The differences after declaring")
        await bed.publish([Publication(bed.topic, f"{bed.uid}.placed", Message(b"x", message_id="1"))])
        inbox, subscription = await bed.consume(queue)
        await subscription.nack(await inbox.until(1), requeue=False)
        await bed.until_ready(dlq_name(queue), 1)
        expect_equal(ids_of(await bed.drain(dlq_name(queue))), ["1"], "What is in the dead-letter queue")


async def check_a_dead_letter_queue_keeps_what_it_is_given(make: Make) -> None:
    """A `.dlq` drops nothing, however often its reader gives a message back."""
    async with Bed(make) as bed:
        topology = handler_topology(bed.uid, [Route(bed.name("q"), bed.topic, [])])
        dead = next(queue for queue in topology.queues if queue.name == dlq_name(bed.name("q")))
        await bed.broker.declare(Topology(queues=(Queue(bed.name("q.dlq"), dead.arguments),)))
        await bed.send(dead.name, "1")
        inbox, subscription = await bed.consume(dead.name, prefetch=1)
        for number in range(1, 31):  # RabbitMQ 4 drops at 20 unless told otherwise
            await subscription.nack((await inbox.until(number))[-1:], requeue=True)
        await inbox.until(31)
        await subscription.close()
        await bed.until_ready(dead.name, 1)


async def check_a_full_target_loses_nothing(make: Make) -> None:
    """What cannot be dead-lettered, because its target is full, waits and gets there later."""
    async with Bed(make) as bed:
        target = await bed.queue("target", {"x-max-length": 1, "x-overflow": "reject-publish"})
        timed = await bed.queue("timed", _to("", target, message_ttl=100))
        ids = [str(number) for number in range(8)]
        await bed.send(timed, *ids)
        found: list[str | None] = []
        try:
            inbox, subscription = await bed.consume(target, prefetch=1)
            for number in range(1, len(ids) + 1):
                # RabbitMQ tries again after some seconds.
                delivery = (await inbox.until(number, patience=60))[-1]
                found.append(delivery.message.message_id)
                await subscription.ack([delivery])
        except NotConforming as error:
            raise NotConforming(f"Of {ids} only {found} came through a full target: {error}") from None
        expect(set(found) == set(ids), f"Of {ids} only {found} came through a full target")


CHECKS: Final[tuple[Check, ...]] = (
    check_rejected_is_dead_lettered,
    check_expired_goes_to_a_queue,
    check_what_is_taken_in_time_does_not_expire,
    check_delivery_limit,
    check_the_topology_of_a_handler,
    check_a_dead_letter_queue_keeps_what_it_is_given,
    check_a_full_target_loses_nothing,
)
