"""Many messages at once: none lost, none doubled."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from engine.brokers.base import Subscription
from engine.model.message import Delivery
from engine.testing.conformance.bed import Bed, Check, Make, expect, expect_equal, to_queue

_MESSAGES: Final = 10_000
_GROUP: Final = 500
#: Seconds without a single delivery after which a flow has stopped.
_STALL = 30.0


async def check_ten_thousand_messages(make: Make) -> None:
    """Published in groups by four at once, consumed on another connection while they come in."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        arriving: asyncio.Queue[Delivery] = asyncio.Queue()
        consumer = await bed.connect()
        subscription = await consumer.consume(queue, prefetch=1000, receive=arriving.put_nowait)
        groups = iter([range(first, first + _GROUP) for first in range(0, _MESSAGES, _GROUP)])

        async def publisher() -> None:
            for group in groups:
                await bed.publish([to_queue(queue, str(number), b"%d" % number * 40) for number in group])

        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(publisher())
            seen = await _take(arriving, subscription, _MESSAGES)
        expect_equal(len(seen), _MESSAGES, "The number of messages that came")
        expect(set(seen) == {str(number) for number in range(_MESSAGES)}, "Others came than were sent")
        doubled = {message_id for message_id, times in seen.items() if times > 1}
        expect_equal(doubled, set(), "The messages that came twice")
        await subscription.close()
        await bed.until_ready(queue, 0)


async def _take(arriving: asyncio.Queue[Delivery], subscription: Subscription, count: int) -> Counter[str | None]:
    """Ack in groups of what is there, until `count` deliveries came."""
    seen: Counter[str | None] = Counter()
    while seen.total() < count:
        async with asyncio.timeout(_STALL):
            group = [await arriving.get()]
        while not arriving.empty() and len(group) < 200:
            group.append(arriving.get_nowait())
        seen.update(delivery.message.message_id for delivery in group)
        await subscription.ack(group)
    return seen


async def check_nothing_is_lost_while_consumers_come_and_go(make: Make) -> None:
    """Consumers that close with deliveries out: each message is acked once in the end."""
    async with Bed(make) as bed:
        queue = await bed.queue("q", {"x-delivery-limit": 10_000})
        ids = [str(number) for number in range(1000)]
        await bed.send(queue, *ids)
        acked: Counter[str | None] = Counter()
        for turn in range(10):
            inbox, subscription = await bed.consume(queue, prefetch=100)
            out = await inbox.until(100)
            mine = out[turn % 3 :: 2]
            await subscription.ack(mine)
            acked.update(delivery.message.message_id for delivery in mine)
            await subscription.close()
        left = len(ids) - acked.total()
        inbox, subscription = await bed.consume(queue, prefetch=1000)
        await subscription.ack(await inbox.until(left))
        acked.update(inbox.ids)
        await subscription.close()
        await bed.until_ready(queue, 0)
        expect(all(times == 1 for times in acked.values()), "Some messages came again after their ack")
        expect_equal(sorted(acked, key=str), sorted(ids), "The messages that were acked")


CHECKS: Final[tuple[Check, ...]] = (
    check_ten_thousand_messages,
    check_nothing_is_lost_while_consumers_come_and_go,
)
