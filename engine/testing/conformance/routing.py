"""Where messages go."""

from __future__ import annotations

from typing import Final

from engine.model.message import Message, Publication
from engine.model.topology import topic_matches
from engine.testing.conformance.bed import Bed, Check, Make, expect_equal, ids_of


async def check_topic_routing(make: Make) -> None:
    """`*` is one word and `#` any number: the broker agrees with `topic_matches` on every pair."""
    async with Bed(make) as bed:
        u = bed.uid
        patterns = [
            u, f"{u}.*", f"{u}.#", f"{u}.*.c", f"{u}.#.c", f"#.{u}", f"#.{u}.#", f"*.{u}", f"*.{u}.*", f"{u}.*.#",
            f"{u}.#.#", f"{u}.#.*", f"{u}.b.c", "#", "*", "*.*", f"#.{u}.#.c.#",
        ]  # fmt: skip
        keys = [
            u, f"{u}.b", f"{u}.c", f"{u}.b.c", f"{u}.b.b.c", f"{u}.c.c", f"a.{u}", f"a.{u}.c", f"a.a.{u}", f"{u}.", f".{u}",
            f"{u}..c", f"{u}{u}", f"x{u}", "", f"{u}.*", f"{u}.#",
        ]  # fmt: skip
        queues = []
        for number, pattern in enumerate(patterns):
            queues.append(await bed.queue(str(number)))
            await bed.bind(queues[-1], pattern)
        await bed.publish([_to(bed.topic, key, f"{u}/{key}") for key in keys])
        for queue, pattern in zip(queues, patterns, strict=True):
            # A pattern as wide as "#" also gets what others publish meanwhile.
            found = [message_id for message_id in ids_of(await bed.drain(queue)) if (message_id or "").startswith(u)]
            wanted = [f"{u}/{key}" for key in keys if topic_matches(pattern, key)]
            expect_equal(found, wanted, f"What {pattern!r} got")


async def check_direct_routing(make: Make) -> None:
    """A direct exchange takes the key to the letter, wildcards too."""
    async with Bed(make) as bed:
        plain, star = await bed.queue("plain"), await bed.queue("star")
        await bed.bind(plain, f"{bed.uid}.a", exchange=bed.direct)
        await bed.bind(star, f"{bed.uid}.*", exchange=bed.direct)
        keys = ["a", "*", "b", "a.a", ""]
        publications = [_to(bed.direct, f"{bed.uid}.{key}", key, mandatory=False) for key in keys]
        await bed.publish(publications)
        expect_equal(ids_of(await bed.drain(plain)), ["a"], "What the key got")
        expect_equal(ids_of(await bed.drain(star)), ["*"], "What the key with a star got")


async def check_default_exchange(make: Make) -> None:
    """The exchange without a name leads to the queue that the key names, and needs no binding."""
    async with Bed(make) as bed:
        queue, other = await bed.queue("q"), await bed.queue("q.other")
        await bed.send(queue, "1")
        expect_equal(ids_of(await bed.drain(queue)), ["1"], "What the named queue got")
        expect_equal(await bed.drain(other), [], "What another queue got")


async def check_fan_out(make: Make) -> None:
    """Each queue with a matching binding gets one copy, however many of its bindings match."""
    async with Bed(make) as bed:
        queues = [await bed.queue(str(number)) for number in range(3)]
        for queue in queues:
            await bed.bind(queue, f"{bed.uid}.*", f"{bed.uid}.#", f"{bed.uid}.a")
        await bed.publish([_to(bed.topic, f"{bed.uid}.a", message_id) for message_id in ("1", "2")])
        for queue in queues:
            expect_equal(ids_of(await bed.drain(queue)), ["1", "2"], f"What {queue} got")


def _to(exchange: str, key: str, message_id: str, mandatory: bool = True) -> Publication:
    return Publication(exchange, key, Message(b"{}", message_id=message_id), mandatory)


CHECKS: Final[tuple[Check, ...]] = (
    check_topic_routing,
    check_direct_routing,
    check_default_exchange,
    check_fan_out,
)
