"""Queues of the type stream: logs that are read again and again, from any place."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Final

from engine.brokers.base import Broker, Entry
from engine.errors import QueueMissing, TopologyMismatch
from engine.model.message import Headers, Message, Publication
from engine.model.topology import Queue, Topology
from engine.testing.conformance.bed import PATIENCE, Bed, Check, Make, eventually, expect, expect_equal, to_queue

#: Seconds between what has to be told apart by time: AMQP tells whole ones.
APART = 2.1


async def check_stream_order(make: Make) -> None:
    """Entries come in order, whole, as often as one reads, and none is taken off."""
    async with Bed(make) as bed:
        stream, queue = await _stream(bed), await bed.queue("beside")
        await bed.bind(stream, f"{bed.uid}.*")
        await bed.bind(queue, f"{bed.uid}.*")
        # The broker's own header, as a stranger would forge it.
        headers: Headers = {"x-stream-offset": 4711, "colour": "blue"}
        ids = [str(number) for number in range(20)]
        await bed.publish([_event(bed, message_id, headers) for message_id in ids])
        span = await bed.broker.span(stream)
        expect_equal(span.first, 0, "The first offset")
        for _ in range(2):
            found = await _entries(bed.broker, stream, 0, 20)
            expect_equal(_ids(found), ids, "What was read")
            offsets = [entry.offset for entry in found]
            expect_equal(offsets, sorted(set(offsets)), "The offsets")
            expect_equal(span.next, offsets[-1] + 1, "The end that the span tells")
        last = found[-1].delivery
        expect_equal((last.exchange, last.routing_key), (bed.topic, f"{bed.uid}.event"), "Where it was published")
        expect_equal(last.message.headers, {"colour": "blue"}, "The headers")
        expect_equal(last.defect, None, "The defect")
        expect_equal(len(await bed.drain(queue)), 20, "What a queue beside the stream got")


async def check_stream_offsets(make: Make) -> None:
    """One can begin anywhere, within a group that was published at once too, also with little out at a time."""
    async with Bed(make) as bed:
        stream = await _stream(bed)
        ids = [str(number) for number in range(5000)]
        await bed.send(stream, *ids)
        span = await bed.broker.span(stream)
        expect_equal(span.next - span.first, 5000, "What the span tells")
        expect_equal(_ids(await _entries(bed.broker, stream, span.first, 5000, prefetch=7)), ids, "What was read")
        found = await _entries(bed.broker, stream, span.first + 1234, 10)
        expect_equal(_ids(found), ids[1234:1244], "What was read from the middle on")
        expect_equal(found[0].offset, span.first + 1234, "Where it begins")
        expect_equal(_ids(await _entries(bed.broker, stream, span.next - 1, 1)), ids[-1:], "The last entry")


async def check_stream_waits(make: Make) -> None:
    """Who reads from the end on gets what is published from then on, from whichever connection."""
    async with Bed(make) as bed:
        stream = await _stream(bed)
        await bed.send(stream, "old")
        other = await bed.connect()
        place = (await other.span(stream)).next
        reading = asyncio.create_task(_entries(other, stream, place, 3))
        for message_id in ("a", "b", "c"):
            await bed.send(stream, message_id)
        expect_equal(_ids(await reading), ["a", "b", "c"], "What was read")


async def check_stream_time(make: Make) -> None:
    """A time leads to what was written since; before all of it to the first, after all of it to the end."""
    async with Bed(make) as bed:
        stream = await _stream(bed)
        empty = await bed.broker.span(stream, time.time())
        expect_equal(tuple(empty), (0, 0), "The span of an empty stream")
        await bed.send(stream, "1", "2")
        await asyncio.sleep(APART)
        since = time.time()
        await bed.send(stream, "3", "4")
        whole = await bed.broker.span(stream)
        found = await bed.broker.span(stream, since)
        expect_equal(found.next, whole.next, "The end")
        expect_equal(
            _ids(await _entries(bed.broker, stream, found.first, 2)), ["3", "4"], "What was written since then"
        )
        expect_equal((await bed.broker.span(stream, since - 3600)), whole, "The span since an hour before")
        expect_equal((await bed.broker.span(stream, 0)), whole, "The span since ever")
        late = await bed.broker.span(stream, since + 3600)
        expect_equal(tuple(late), (whole.next, whole.next), "The span since a time to come")


async def check_stream_retention(make: Make) -> None:
    """What exceeds the size is dropped from the beginning, and whoever wants it begins with the first that is kept."""
    async with Bed(make) as bed:
        stream = await _stream(bed, {"x-max-length-bytes": 200_000, "x-stream-max-segment-size-bytes": 50_000})
        body = b"x" * 9_000
        for group in range(12):
            # One at a time: RabbitMQ begins a segment only between two groups.
            for number in range(5):
                await bed.publish([to_queue(stream, f"{group}.{number}", body)])

        async def truncated() -> bool:
            return (await bed.broker.span(stream)).first > 0

        await eventually(truncated, "retention drops the beginning")
        span = await bed.broker.span(stream)
        found = await _entries(bed.broker, stream, 0, 3)
        expect_equal(found[0].offset, span.first, "Where reading from the dropped beginning begins")
        expect(found[0].delivery.message.message_id != "0.0", "The first message was not dropped")
        newest = await _entries(bed.broker, stream, span.next - 1, 1)
        expect_equal(_ids(newest), ["11.4"], "The newest")


async def check_stream_age(make: Make) -> None:
    """What is too old is dropped when a segment is full, but never the newest segment."""
    async with Bed(make) as bed:
        stream = await _stream(bed, {"x-max-age": "1s", "x-stream-max-segment-size-bytes": 20_000})
        body = b"x" * 9_000
        for number in range(8):
            await bed.publish([to_queue(stream, f"old.{number}", body)])
        await asyncio.sleep(APART)
        for number in range(8):
            await bed.publish([to_queue(stream, f"new.{number}", body)])

        async def truncated() -> bool:
            return (await bed.broker.span(stream)).first > 0

        await eventually(truncated, "retention drops the beginning")
        span = await bed.broker.span(stream)
        newest = await _entries(bed.broker, stream, span.next - 1, 1)
        expect_equal(_ids(newest), ["new.7"], "The newest")


async def check_stream_missing(make: Make) -> None:
    """A stream that is not there and a queue that is none are refused, and nothing else is disturbed."""
    async with Bed(make) as bed:
        queue = await bed.queue("plain")
        await bed.send(queue, "kept")
        missing = bed.name("missing")
        for name, error in ((missing, QueueMissing), (queue, TopologyMismatch)):
            try:
                await bed.broker.span(name)
            except error:
                pass
            else:
                expect(False, f"The span of {name} was told")
            try:
                await _entries(bed.broker, name, 0, 1)
            except error:
                pass
            else:
                expect(False, f"{name} was read as a stream")
        stream = await _stream(bed)
        await bed.send(stream, "1")
        for place in (-5, 0, 2**70):  # the last one is beyond anything: it waits
            reading = asyncio.create_task(_entries(bed.broker, stream, place, 1))
            done, _ = await asyncio.wait({reading}, timeout=1.0 if place > 0 else PATIENCE)
            expect_equal(bool(done), place <= 0, f"Whether reading from {place} got anything")
            reading.cancel()
        inbox, _ = await bed.consume(queue)
        found = await inbox.until(1)
        expect_equal([(each.message.message_id, each.redelivered) for each in found], [("kept", False)], "The queue")


async def check_stream_deleted(make: Make) -> None:
    """A stream that is deleted ends its reading; one of the same name begins anew."""
    async with Bed(make) as bed:
        stream = await _stream(bed)
        await bed.send(stream, "1", "2")
        begun = asyncio.Event()

        async def read() -> None:
            async with contextlib.aclosing(bed.broker.read(stream, 0)) as entries:
                async for _ in entries:
                    begun.set()

        reading = asyncio.create_task(read())
        await asyncio.wait_for(begun.wait(), PATIENCE)
        await bed.broker.delete_queue(stream)
        done, _ = await asyncio.wait({reading}, timeout=PATIENCE)
        expect(bool(done), "The reading of a deleted stream did not end")
        expect(isinstance(reading.exception(), QueueMissing), f"It ended with {reading.exception()!r}")
        await _stream(bed)
        await bed.send(stream, "3")
        expect_equal(_ids(await _entries(bed.broker, stream, 0, 1)), ["3"], "What the new one has")


async def _stream(bed: Bed, arguments: dict[str, str | int] | None = None) -> str:
    name = bed.name("stream")
    await bed.broker.declare(Topology(queues=(Queue(name, {"x-queue-type": "stream", **(arguments or {})}),)))
    return name


def _event(bed: Bed, message_id: str, headers: Headers) -> Publication:
    return Publication(bed.topic, f"{bed.uid}.event", Message(b"{}", headers=headers, message_id=message_id))


async def _entries(broker: Broker, stream: str, offset: int, count: int, prefetch: int = 250) -> list[Entry]:
    found: list[Entry] = []
    async with asyncio.timeout(PATIENCE), contextlib.aclosing(broker.read(stream, offset, prefetch=prefetch)) as read:
        async for entry in read:
            found.append(entry)
            if len(found) == count:
                break
    return found


def _ids(entries: Sequence[Entry]) -> list[str | None]:
    return [entry.delivery.message.message_id for entry in entries]


CHECKS: Final[tuple[Check, ...]] = (
    check_stream_order,
    check_stream_offsets,
    check_stream_waits,
    check_stream_time,
    check_stream_retention,
    check_stream_age,
    check_stream_missing,
    check_stream_deleted,
)
