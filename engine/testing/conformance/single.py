"""Queues with a single active consumer: one gets all, in order, until it is gone; then the next goes on where it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.model.message import Delivery
from engine.model.topology import SINGLE_ACTIVE
from engine.testing.conformance.bed import Bed, Check, Make, expect_equal


async def _single(bed: Bed) -> str:
    return await bed.queue("single", {SINGLE_ACTIVE: True, "x-delivery-limit": 100})


def _numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last)]


def _ids(deliveries: Sequence[Delivery]) -> list[str | None]:
    return [delivery.message.message_id for delivery in deliveries]


async def check_one_consumer_is_active(make: Make) -> None:
    """Of three consumers, two of them on one connection, the first gets everything, in order."""
    async with Bed(make) as bed:
        queue = await _single(bed)
        inbox, subscription = await bed.consume(queue, prefetch=10)
        beside, _ = await bed.consume(queue, prefetch=10)
        other, _ = await bed.consume(queue, 10, await bed.connect())
        await bed.send(queue, *_numbers(0, 40))
        for wanted in range(10, 41, 10):
            await subscription.ack((await inbox.until(wanted))[wanted - 10 :])
        await bed.until_ready(queue, 0)
        expect_equal(inbox.ids, _numbers(0, 40), "What the first consumer got")
        expect_equal(beside.ids + other.ids, [], "What the others got")


async def check_the_next_goes_on_in_order(make: Make) -> None:
    """A subscription that closes gives back what it had, and the next one gets that first, in its order."""
    async with Bed(make) as bed:
        queue = await _single(bed)
        brokers = [bed.broker, await bed.connect(), await bed.connect()]
        lines = [await bed.consume(queue, 20, broker) for broker in brokers]
        await bed.send(queue, *_numbers(0, 60))
        left = _numbers(0, 60)
        for inbox, subscription in lines[:2]:
            out = await inbox.until(20)
            expect_equal(_ids(out), left[:20], "What the active consumer got")
            # Acked here and there: the order of what is left is the same.
            await subscription.ack([out[2], out[11], *out[5:8]])
            left = [each for at, each in enumerate(left) if at not in (2, 11, 5, 6, 7)]
            await bed.send(queue, *_numbers(len(left) + 100, len(left) + 110))
            left += _numbers(len(left) + 100, len(left) + 110)
            await subscription.close()
        inbox, subscription = lines[2]
        acked = 0
        while acked < len(left):
            out = await inbox.until(min(acked + 20, len(left)))
            await subscription.ack(out[acked:])
            acked = len(out)
        expect_equal(inbox.ids, left, "What the last consumer got")


async def check_the_next_takes_over_when_a_connection_goes(make: Make) -> None:
    """So it is with the end of a connection; and who subscribes again stands behind those that wait."""
    async with Bed(make) as bed:
        queue = await _single(bed)
        first = await bed.connect()
        inbox, _ = await bed.consume(queue, 5, first)
        await bed.send(queue, *_numbers(0, 20))
        await inbox.until(5)
        second, subscription = await bed.consume(queue, 5)
        third, _ = await bed.consume(queue, 5, await bed.connect())
        await first.close()
        expect_equal(_ids(await second.until(5)), _numbers(0, 5), "What the second got after the first had gone")
        await subscription.close()
        again, _ = await bed.consume(queue, 5)
        expect_equal(_ids(await third.until(5)), _numbers(0, 5), "What the third got after the second had closed")
        expect_equal(again.ids, [], "What one got that came after the third")


async def check_cancelling_makes_room(make: Make) -> None:
    """After a cancel the next one gets what follows, while what is out can still be acked."""
    async with Bed(make) as bed:
        queue = await _single(bed)
        inbox, subscription = await bed.consume(queue, prefetch=2)
        other, heir = await bed.consume(queue, 10, await bed.connect())
        await bed.send(queue, *_numbers(0, 4))
        out = await inbox.until(2)
        await subscription.cancel()
        expect_equal(_ids(await other.until(2)), ["2", "3"], "What the next got")
        await subscription.ack(out)
        await heir.ack(other.deliveries)
        await subscription.close()
        await heir.close()
        await bed.until_ready(queue, 0)
        last, _ = await bed.consume(queue)
        await bed.send(queue, "4")
        await last.until(1)
        expect_equal(last.ids, ["4"], "What came to the last consumer")


CHECKS: Final[tuple[Check, ...]] = (
    check_one_consumer_is_active,
    check_the_next_goes_on_in_order,
    check_the_next_takes_over_when_a_connection_goes,
    check_cancelling_makes_room,
)
