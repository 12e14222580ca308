"""Confirms tell the truth about each message."""

from __future__ import annotations

from typing import Final

from engine.errors import BrokerError, PublishRefused, Unroutable
from engine.model.message import Message, Publication
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


async def check_unroutable(make: Make) -> None:
    """What no queue takes is `Unroutable` where that matters, and no error where it does not."""
    async with Bed(make) as bed:
        missing = bed.name("missing")
        message = Message(b"x", message_id="1")
        results = await bed.broker.publish(
            [
                Publication("", missing, message),
                Publication("", missing, message, mandatory=False),
                Publication(bed.topic, f"{bed.uid}.nobody", message),
                Publication(bed.topic, f"{bed.uid}.nobody", message, mandatory=False),
            ]
        )
        kinds = [None if result is None else type(result) for result in results]
        expect_equal(kinds, [Unroutable, None, Unroutable, None], "The results")
        expect(missing in str(results[0]), f"The error does not name the target: {results[0]}")
        expect_equal(await bed.broker.publish([]), [], "The results of publishing nothing")


async def check_results_belong_to_their_messages(make: Make) -> None:
    """In a group each message has its own result, and what can be delivered is."""
    async with Bed(make) as bed:
        queue, missing = await bed.queue("q"), bed.name("missing")
        lost = set(range(0, 100, 7)) | {98, 99}
        results = await bed.broker.publish([to_queue(missing if n in lost else queue, str(n)) for n in range(100)])
        found = {number for number, result in enumerate(results) if isinstance(result, Unroutable)}
        expect_equal(found, lost, "The messages said to be unroutable")
        expect(
            all(result is None for n, result in enumerate(results) if n not in lost), f"Some others failed: {results}"
        )
        wanted = [str(number) for number in range(100) if number not in lost]
        expect_equal(ids_of(await bed.drain(queue)), wanted, "The messages that arrived")


async def check_equal_ids_are_not_mixed_up(make: Make) -> None:
    """Several messages of one id in a group, or of none: the unroutable one gets the error, no other."""
    async with Bed(make) as bed:
        queue, missing = await bed.queue("q"), bed.name("missing")
        for message_id in ("same", None, ""):
            for bad in range(4):
                results = await bed.broker.publish(
                    [
                        Publication(
                            "", missing if number == bad else queue, Message(b"%d" % number, message_id=message_id)
                        )
                        for number in range(4)
                    ]
                )
                kinds = [None if result is None else type(result) for result in results]
                wanted = [Unroutable if number == bad else None for number in range(4)]
                expect_equal(kinds, wanted, f"The results with the id {message_id!r}")
                bodies = [int(message.body) for message in await bed.drain(queue)]
                expect_equal(bodies, [number for number in range(4) if number != bad], "The messages that arrived")


async def check_a_full_queue_refuses(make: Make) -> None:
    """With `x-max-length` and `reject-publish` the publisher hears of it, and others are not held up."""
    async with Bed(make) as bed:
        full = await bed.queue("full", {"x-max-length": 3, "x-overflow": "reject-publish"})
        other = await bed.queue("other")
        accepted = 0
        for number in range(50):  # a quorum queue takes a few more than its limit
            (result,) = await bed.broker.publish([to_queue(full, str(number))])
            if result is not None:
                break
            accepted += 1
        else:
            raise NotConforming("A queue with x-max-length 3 took 50 messages")
        expect(accepted >= 3, f"The queue was full after {accepted} messages")
        expect(
            isinstance(result, PublishRefused) and not isinstance(result, Unroutable),
            f"The refusal is a {type(result).__name__}: {result}",
        )
        refused, taken = await bed.broker.publish([to_queue(full, "x"), to_queue(other, "y")])
        expect(isinstance(refused, PublishRefused), f"The result for the full queue: {refused!r}")
        expect(taken is None, f"The result for the other queue: {taken!r}")
        expect_equal(
            ids_of(await bed.drain(full)), [str(n) for n in range(accepted)], "The messages that were confirmed"
        )
        await bed.send(full, "again")


async def check_a_missing_exchange_fails_only_its_message(make: Make) -> None:
    """A publish to an exchange that is not there is an error of that message; the next one works."""
    async with Bed(make) as bed:
        queue = await bed.queue("q")
        nowhere = Publication(f"{bed.uid}.none", "key", Message(b"x", message_id="1"))
        for mandatory in (True, False):
            nowhere.mandatory = mandatory
            (result,) = await bed.broker.publish([nowhere])
            expect(isinstance(result, BrokerError), f"The result for an exchange that is not there: {result!r}")
        await bed.send(queue, "2")
        expect_equal(ids_of(await bed.drain(queue)), ["2"], "What was published after it")


CHECKS: Final[tuple[Check, ...]] = (
    check_unroutable,
    check_results_belong_to_their_messages,
    check_equal_ids_are_not_mixed_up,
    check_a_full_queue_refuses,
    check_a_missing_exchange_fails_only_its_message,
)
