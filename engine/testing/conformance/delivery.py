"""Deliveries, acks and nacks."""

from __future__ import annotations

import asyncio
import itertools
from typing import Final

from engine.brokers.base import Subscription
from engine.testing.conformance.bed import Bed, Check, Inbox, Make, eventually, expect, expect_equal, ids_of


async def check_order(make: Make) -> None:
    """One consumer gets what one publisher sent in the order it was sent."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        ids = [str(number) for number in range(500)]
        inbox, subscription = await bed.consume(queue, prefetch=50)
        await bed.send(queue, *ids[:250])
        acked = 0
        for wanted in range(50, 501, 50):
            if wanted == 250:
                await bed.send(queue, *ids[250:])
            await inbox.until(wanted)
            await subscription.ack(inbox.deliveries[acked:wanted])
            acked = wanted
        expect_equal(inbox.ids, ids, "The order of delivery")


async def check_prefetch(make: Make) -> None:
    """No more than `prefetch` deliveries are out; each ack lets one more come."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        await bed.send(queue, *map(str, range(10)))
        inbox, subscription = await bed.consume(queue, prefetch=3)
        await inbox.until(3)
        await bed.until_ready(queue, 7)
        expect_equal(len(inbox.deliveries), 3, "The deliveries out with prefetch 3")
        await subscription.ack([inbox.deliveries[1]])
        await inbox.until(4)
        await bed.until_ready(queue, 6)
        await subscription.nack([inbox.deliveries[0]], requeue=False)
        await inbox.until(5)
        await bed.until_ready(queue, 5)
        expect_equal(inbox.ids, ["0", "1", "2", "3", "4"], "The deliveries after an ack and a nack")


async def check_a_full_prefetch_elsewhere_holds_nobody_up(make: Make) -> None:
    """Subscriptions of one broker have a prefetch of their own each."""
    async with Bed(make) as bed:
        slow, quick = await bed.queue("slow"), await bed.queue("quick")
        await bed.send(slow, "1", "2")
        stuck, _ = await bed.consume(slow, prefetch=1)
        await stuck.until(1)
        inbox, subscription = await bed.consume(quick, prefetch=1)
        for number in range(1, 6):
            await bed.send(quick, str(number))
            await subscription.ack((await inbox.until(number))[-1:])
        expect_equal(stuck.ids, ["1"], "What the stuck consumer got")


async def check_acked_is_gone(make: Make) -> None:
    """What was acked never comes again; acks may be in any order and in groups of any size."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        await bed.send(queue, *map(str, range(20)))
        inbox, subscription = await bed.consume(queue)
        out = await inbox.until(20)
        await subscription.ack([])
        await subscription.ack([out[7], out[3], out[15]])
        await subscription.ack(out[16:])
        await subscription.ack([out[0]])
        await subscription.ack(out[10:12][::-1])
        await subscription.close()
        left = [str(number) for number in (1, 2, 4, 5, 6, 8, 9, 12, 13, 14)]
        again, subscription = await bed.consume(queue)
        found = await again.until(len(left))
        expect_equal(sorted(again.ids, key=str), sorted(left), "What was not acked and came again")
        expect(all(delivery.redelivered for delivery in found), "What came again is not marked as redelivered")
        await subscription.ack(found)
        await subscription.close()
        await bed.until_ready(queue, 0)


async def check_nack_requeues(make: Make) -> None:
    """A nacked message comes again, marked as redelivered; its neighbours stay where they are."""
    async with Bed(make) as bed:
        queue = await bed.queue("q", {"x-delivery-limit": 100})
        await bed.send(queue, "1", "2", "3")
        inbox, subscription = await bed.consume(queue)
        first, second, third = await inbox.until(3)
        expect(not any(d.redelivered for d in (first, second, third)), "A first delivery is marked as redelivered")
        await subscription.nack([second], requeue=True)
        again = (await inbox.until(4))[-1]
        expect_equal((again.message.message_id, again.redelivered), ("2", True), "What came after the nack")
        await subscription.ack([again, third, first])
        await subscription.close()
        await bed.until_ready(queue, 0)


async def check_unacked_comes_again_after_close(make: Make) -> None:
    """Closing the subscription, or the whole connection, gives back what was out."""
    async with Bed(make) as bed:
        queue = await bed.queue("q", {"x-delivery-limit": 100})
        await bed.send(queue, "1", "2")
        inbox, subscription = await bed.consume(queue)
        await subscription.ack((await inbox.until(2))[:1])
        await subscription.close()
        other = await bed.connect()
        inbox, _ = await bed.consume(queue, broker=other)
        (delivery,) = await inbox.until(1)
        expect_equal((inbox.ids, delivery.redelivered), (["2"], True), "What came after the subscription closed")
        await other.close()
        inbox, subscription = await bed.consume(queue)
        (delivery,) = await inbox.until(1)
        expect_equal((inbox.ids, delivery.redelivered), (["2"], True), "What came after the connection closed")
        await subscription.ack([delivery])


async def check_late_acks_are_ignored(make: Make) -> None:
    """An ack for what is not out any more does nothing, raises nothing, and hits no other message."""
    async with Bed(make) as bed:
        queue = await bed.queue("q", {"x-delivery-limit": 100})
        await bed.send(queue, "1", "2")
        other = await bed.connect()
        inbox, subscription = await bed.consume(queue, broker=other)
        out = await inbox.until(2)
        await subscription.close()
        await subscription.ack(out[:1])
        await subscription.nack(out[1:], requeue=False)
        again, fresh = await bed.consume(queue, broker=other)
        await again.until(2)
        await fresh.close()
        await other.close()
        await fresh.ack(again.deliveries)
        last, subscription = await bed.consume(queue)
        deliveries = await last.until(2)
        expect_equal(sorted(last.ids, key=str), ["1", "2"], "What came again")
        await subscription.ack(deliveries)
        await subscription.ack(deliveries)
        await bed.send(queue, "3")
        await last.until(3)
        await subscription.ack(last.deliveries[2:])
        await subscription.close()
        await bed.until_ready(queue, 0)


async def check_consumers_share_a_queue(make: Make) -> None:
    """Two consumers of a queue, of two connections, get each message once between them."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        left, right = await bed.consume(queue, prefetch=1), await bed.consume(queue, 1, await bed.connect())
        await bed.send(queue, *map(str, range(20)))
        for inbox, _ in (left, right):  # each has one before either acks
            await inbox.until(1)
        async with asyncio.TaskGroup() as tasks:
            workers = [tasks.create_task(_ack_each(inbox, subscription)) for inbox, subscription in (left, right)]

            async def all_came() -> bool:
                return len(left[0].ids) + len(right[0].ids) >= 20

            await eventually(all_came, "20 deliveries came to two consumers")
            await bed.until_ready(queue, 0)
            for worker in workers:
                worker.cancel()
        found = sorted(int(message_id or -1) for message_id in left[0].ids + right[0].ids)
        expect_equal(found, list(range(20)), "What both got together")


async def _ack_each(inbox: Inbox, subscription: Subscription) -> None:
    for number in itertools.count(1):
        await inbox.until(number)
        await subscription.ack([inbox.deliveries[number - 1]])


async def check_cancel(make: Make) -> None:
    """After a cancel nothing more comes, and what is out can still be acked."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        await bed.send(queue, "1", "2", "3")
        inbox, subscription = await bed.consume(queue, prefetch=2)
        out = await inbox.until(2)
        await subscription.cancel()
        await subscription.ack(out[:1])
        await bed.send(queue, "4")
        await bed.until_ready(queue, 2)
        expect_equal(inbox.ids, ["1", "2"], "What was delivered by a cancelled subscription")
        await subscription.ack(out[1:])
        await subscription.close()
        await subscription.close()
        expect_equal(ids_of(await bed.drain(queue)), ["3", "4"], "What is left")


CHECKS: Final[tuple[Check, ...]] = (
    check_order,
    check_prefetch,
    check_a_full_prefetch_elsewhere_holds_nobody_up,
    check_acked_is_gone,
    check_nack_requeues,
    check_unacked_comes_again_after_close,
    check_late_acks_are_ignored,
    check_consumers_share_a_queue,
    check_cancel,
)
