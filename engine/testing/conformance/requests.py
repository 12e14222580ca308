"""Requests and their replies, and queues that go with their connection."""

from __future__ import annotations

import asyncio
from typing import Final

from engine.brokers.base import Broker, Replies, Subscription
from engine.errors import BrokerError, QueueMissing, Unroutable
from engine.model.message import Message, Publication
from engine.testing.conformance.bed import (
    Bed,
    Check,
    Inbox,
    Make,
    NotConforming,
    eventually,
    expect,
    expect_equal,
    ids_of,
    to_queue,
)


async def check_a_reply_comes_back(make: Make) -> None:
    """Who publishes to `""` under a request's `reply_to` reaches the one who asked, on another connection too."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        asking, answering = await bed.connect(), await bed.connect()
        answers, replies = await _replies(asking)
        expect_equal(await replies.publish([to_queue(queue, "1"), to_queue(queue, "2")]), [None, None], "The results")
        inbox, subscription = await bed.consume(queue, broker=answering)
        asked = await inbox.until(2)
        back = [Publication("", _reply_to(each.message), _answer(each.message), mandatory=False) for each in asked]
        expect_equal(await answering.publish(back), [None, None], "The results of the replies")
        await subscription.ack(asked)
        found = await answers.until(2)
        expect_equal([each.message.correlation_id for each in found], ["1", "2"], "The replies")
        expect_equal([each.message.body for each in found], [b"re 1", b"re 2"], "What the replies say")


async def check_requests_are_told_of_refusals(make: Make) -> None:
    """A request to a queue that is not there is `Unroutable`, and those beside it are not affected."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        _, replies = await _replies(bed.broker)
        results = await replies.publish(
            [to_queue(queue, "1"), to_queue(bed.name("missing"), "2"), to_queue(queue, "3")]
        )
        kinds = [None if result is None else type(result) for result in results]
        expect_equal(kinds, [None, Unroutable, None], "The results")
        expect_equal(ids_of(await bed.drain(queue)), ["1", "3"], "What arrived")


async def check_late_replies_are_dropped(make: Make) -> None:
    """A reply to somebody who has gone is no error for the one who answers, and disturbs nobody."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        asking = await bed.connect()
        _, replies = await _replies(asking)
        await replies.publish([to_queue(queue, "1")])
        (asked,) = await bed.drain(queue)
        await replies.close()
        late = Publication("", _reply_to(asked), _answer(asked), mandatory=False)
        expect_equal(await bed.broker.publish([late]), [None], "The result of a late reply")
        answers, again = await _replies(asking)
        expect_equal(await again.publish([to_queue(queue, "2")]), [None], "The result of another request")
        (asked,) = await bed.drain(queue)
        back = Publication("", _reply_to(asked), _answer(asked), mandatory=False)
        expect_equal(await bed.broker.publish([late, back]), [None, None], "The results of both replies")
        await answers.until(1)
        await asking.close()
        expect_equal(await bed.broker.publish([back]), [None], "The result of a reply to a closed connection")


async def check_a_thousand_requests_at_once(make: Make) -> None:
    """A thousand requests are out on one way, and each gets its own reply."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        answering = await bed.connect()
        answers, replies = await _replies(bed.broker)
        inbox, subscription = await bed.consume(queue, prefetch=2000, broker=answering)
        ids = [str(number) for number in range(1000)]
        asked = await asyncio.gather(*(replies.publish([to_queue(queue, each)]) for each in ids))
        expect(all(result == [None] for result in asked), "Some of a thousand requests were refused")
        found = await inbox.until(1000)
        back = [Publication("", _reply_to(each.message), _answer(each.message), mandatory=False) for each in found]
        results = await answering.publish(back[::-1])
        expect(all(result is None for result in results), "Some of a thousand replies were refused")
        await subscription.ack(found)
        await answers.until(1000)
        got = {each.message.correlation_id: each.message.body for each in answers.deliveries}
        expect_equal(got, {each: f"re {each}".encode() for each in ids}, "The replies")


async def check_listening(make: Make) -> None:
    """A listener gets what is published from then on, by its patterns and each once; so does another beside it."""
    async with Bed(make) as bed:
        u = bed.uid
        await _publish(bed, f"{u}.before")
        first, one = await _listen(bed, bed.broker, f"{u}.*", f"{u}.a")
        second, _ = await _listen(bed, await bed.connect(), f"{u}.#")
        await _publish(bed, f"{u}.a", f"{u}.b.c", f"{u}.d")
        expect_equal([each.routing_key for each in await first.until(2)], [f"{u}.a", f"{u}.d"], "What one heard")
        await one.ack(first.deliveries)  # there is nothing to ack, and it does no harm
        heard = [each.routing_key for each in await second.until(3)]
        expect_equal(heard, [f"{u}.a", f"{u}.b.c", f"{u}.d"], "What the other heard")
        await one.close()
        await _publish(bed, f"{u}.e")
        await second.until(4)
        expect_equal(len(first.deliveries), 2, "What one heard after it was closed")


async def check_a_listener_goes_with_its_connection(make: Make) -> None:
    """Of a listener whose connection has gone nothing remains that takes messages."""
    async with Bed(make) as bed:
        key = f"{bed.uid}.a"
        other = await bed.connect()
        await _listen(bed, other, key)
        await other.close()

        async def nobody_listens() -> bool:
            (result,) = await bed.broker.publish([Publication(bed.topic, key, Message(b"{}", message_id="1"))])
            return isinstance(result, Unroutable)

        await eventually(nobody_listens, "the listener's queue was gone")


async def check_listening_needs_its_exchange(make: Make) -> None:
    """To listen to an exchange that is not there is an error, and the broker works on."""
    async with Bed(make) as bed:
        try:
            await bed.broker.listen(f"{bed.uid}.none", ["#"], Inbox().receive, lambda: None)
        except QueueMissing:
            pass
        else:
            raise NotConforming("One can listen to an exchange that is not there")
        inbox, _ = await _listen(bed, bed.broker, f"{bed.uid}.a")
        await _publish(bed, f"{bed.uid}.a")
        await inbox.until(1)


async def _replies(broker: Broker) -> tuple[Inbox, Replies]:
    inbox = Inbox()

    def lost(error: BrokerError) -> None:
        raise NotConforming(f"The way for replies was lost: {error}")

    return inbox, await broker.replies(inbox.receive, lost)


async def _listen(bed: Bed, broker: Broker, *patterns: str) -> tuple[Inbox, Subscription]:
    inbox = Inbox()
    return inbox, await broker.listen(bed.topic, patterns, inbox.receive, lambda: None)


async def _publish(bed: Bed, *keys: str) -> None:
    results = await bed.broker.publish(
        [Publication(bed.topic, key, Message(b"{}", message_id=key), mandatory=False) for key in keys]
    )
    expect_equal(results, [None] * len(keys), "The results of a publish")


def _reply_to(message: Message) -> str:
    expect(bool(message.reply_to), "A request came without a reply_to")
    return message.reply_to or ""


def _answer(message: Message) -> Message:
    return Message(f"re {message.message_id}".encode(), correlation_id=message.message_id)


CHECKS: Final[tuple[Check, ...]] = (
    check_a_reply_comes_back,
    check_requests_are_told_of_refusals,
    check_late_replies_are_dropped,
    check_a_thousand_requests_at_once,
    check_listening,
    check_a_listener_goes_with_its_connection,
    check_listening_needs_its_exchange,
)
