"""Read streams: queues of the type stream, over AMQP 0-9-1 with `x-stream-offset`.

https://www.rabbitmq.com/docs/streams#consuming. Only whole numbers, times and the broker's own words are ever
sent as an offset: anything else ends the whole connection with 541 (tried on 3.10). So does a nack. Hence
a connection for this alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any

from aiormq.abc import ChannelFrame
from aiormq.exceptions import AMQPError
from pamqp import commands

from engine.brokers.base import Entry, Span
from engine.brokers.rabbitmq.calls import RESTART_HINT, call, closed_error, words
from engine.brokers.rabbitmq.content import DELIVER, DeliverySink, method_of
from engine.brokers.rabbitmq.decode import MAX_TIMESTAMP
from engine.brokers.rabbitmq.link import Channel, Link
from engine.brokers.rabbitmq.subscription import unexpected
from engine.brokers.rabbitmq.tap import CloseReason
from engine.errors import BrokerError, BrokerUnavailable, QueueMissing
from engine.model.message import Delivery

#: As an argument where to begin; as a header of each delivery, set by the broker over whatever a publisher wrote.
OFFSET = "x-stream-offset"
#: No stream comes so far.
MAX_OFFSET = 2**62
#: What a consumer may have out at most. The last chunk of a stream has no more entries than that.
WHOLE_CHUNK = 65_535
#: Seconds without a delivery after which a stream is taken for empty: the broker does not say so.
EMPTY_AFTER = 2.0
#: The consumers by which `span` asks, in the order in which the broker serves them.
FIRST, SINCE, LAST = "1", "2", "3"


class _Reading(DeliverySink):
    """Deliveries of the consumers of one channel, by consumer, until it ends."""

    def __init__(self, stream: str, take: Callable[[str, Delivery], None]) -> None:
        super().__init__(stream, 0, lambda delivery: take(self.consumer, delivery), self._end)
        self.consumer = ""
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def _method(self, data: bytes, at: int, end: int) -> bytes | None:
        if method_of(data, at) == DELIVER:
            self.consumer = data[at + 5 : at + 5 + data[at + 4]].decode(errors="replace")
        return super()._method(data, at, end)

    def _end(self, cancelled: bool) -> None:
        if not self.ended.done():
            self.ended.set_result(cancelled)


class Streams:
    """Reads streams on a connection that is opened when it is first needed."""

    def __init__(self, link: Link, *, timeout: float) -> None:
        self._link = link
        self._timeout = timeout

    async def span(self, stream: str, since: float | None) -> Span:
        """See `engine.brokers.base.Broker.span`.

        The depth that RabbitMQ tells of a stream lags seconds behind. So its ends are read: the broker serves the
        calls of a channel one after the other, and once the last chunk has begun to come, the answer to one more
        call comes behind all of it.
        """
        doing = f"looking at the stream {stream}"
        seen: dict[str, tuple[int, int]] = {}
        begun = {FIRST: asyncio.Event(), SINCE: asyncio.Event(), LAST: asyncio.Event()}

        def take(consumer: str, delivery: Delivery) -> None:
            begin, end = seen.get(consumer, (MAX_OFFSET, -1))
            offset = _offset(delivery, end + 1)
            seen[consumer] = (min(begin, offset), max(end, offset))
            begun[consumer].set()

        channel, sink = await self._open(stream, take)
        try:
            await self._consume(channel, sink, stream, "first", 1, FIRST, doing)
            if since is not None:
                moment = datetime.fromtimestamp(min(max(since, 0.0), MAX_TIMESTAMP), UTC)
                await self._consume(channel, sink, stream, moment, 1, SINCE, doing)
            await self._consume(channel, sink, stream, "last", WHOLE_CHUNK, LAST, doing)
            await _either(begun[LAST], sink.ended, EMPTY_AFTER)
            await self._ask(channel, sink, channel.amqp.basic_qos(prefetch_count=1), doing)
            if seen:  # then there is a first one
                await _either(begun[FIRST], sink.ended, self._timeout)
                await _either(begun[LAST], sink.ended, self._timeout)
                await self._ask(channel, sink, channel.amqp.basic_qos(prefetch_count=1), doing)
        finally:
            await channel.close()
        if seen and not (FIRST in seen and LAST in seen):
            raise BrokerUnavailable(
                f"RabbitMQ did not answer within {self._timeout:g} s while {doing}.", hint=RESTART_HINT
            )
        after = max((end for _, end in seen.values()), default=-1) + 1
        begin = seen.get(FIRST if since is None else SINCE, (after, after))[0]
        return Span(begin, after)

    async def read(self, stream: str, offset: int, prefetch: int) -> AsyncGenerator[Entry, None]:
        """See `engine.brokers.base.Broker.read`."""
        doing = f"reading the stream {stream}"
        arrived: deque[Delivery] = deque()
        more = asyncio.Event()

        def take(_consumer: str, delivery: Delivery) -> None:
            arrived.append(delivery)
            more.set()

        place = min(max(offset, 0), MAX_OFFSET)
        channel, sink = await self._open(stream, take)
        try:
            await self._consume(channel, sink, stream, place, prefetch, FIRST, doing)
            unacked = 0
            while True:
                while arrived:
                    delivery = arrived.popleft()
                    found = _offset(delivery, place)
                    unacked += 1
                    if (unacked * 2 >= prefetch or not arrived) and channel.is_open:
                        unacked = 0
                        ack = commands.Basic.Ack(delivery_tag=delivery.tag, multiple=True)
                        await channel.write(ChannelFrame.marshall(channel.number, [ack]).payload, self._timeout)
                    if found >= place:  # a chunk may begin before it
                        place = found + 1
                        yield Entry(found, delivery)
                if sink.ended.done():
                    raise self._lost(sink, stream, doing)
                more.clear()
                await _either(more, sink.ended, None)
        finally:
            await channel.close()

    async def _open(self, stream: str, take: Callable[[str, Delivery], None]) -> tuple[Channel, _Reading]:
        self._link.start()
        line = await self._link.ready(self._timeout)
        channel = await line.channel(self._timeout)
        sink = _Reading(stream, take)
        channel.attach(sink)
        return channel, sink

    async def _consume(
        self,
        channel: Channel,
        sink: _Reading,
        stream: str,
        where: int | str | datetime,
        prefetch: int,
        tag: str,
        doing: str,
    ) -> None:
        """Begin a consumer that has `prefetch` entries out at most: RabbitMQ takes what was last said of that."""
        await self._ask(channel, sink, channel.amqp.basic_qos(prefetch_count=prefetch), doing)
        begin = channel.amqp.basic_consume(stream, unexpected, consumer_tag=tag, arguments={OFFSET: where})
        await self._ask(channel, sink, begin, doing)

    async def _ask(self, channel: Channel, sink: _Reading, question: Any, doing: str) -> None:
        try:
            await call(doing, question, self._timeout)
        except (BrokerError, AMQPError, RuntimeError, OSError) as error:
            if sink.reason is not None:
                raise _refusal(sink.reason, doing) from None
            if isinstance(error, BrokerError):
                raise
            raise BrokerUnavailable(f"The connection to RabbitMQ was lost while {doing}.", hint=RESTART_HINT) from None

    def _lost(self, sink: _Reading, stream: str, doing: str) -> BrokerError:
        if sink.reason is not None:
            return _refusal(sink.reason, doing)
        if sink.ended.result():
            return QueueMissing(f"The stream {stream!r} was deleted while it was read.")
        return BrokerUnavailable(f"The connection to RabbitMQ was lost while {doing}.", hint=RESTART_HINT)


def _refusal(reason: CloseReason, doing: str) -> BrokerError:
    """What it means that the broker closed the channel. A stream is not there for seconds after its node came up: that passes."""
    if reason.code == 404 and "down or inaccessible" in reason.text:
        return BrokerUnavailable(
            f"RabbitMQ is not ready for it yet, while {doing}: {words(reason.text)}.", hint=RESTART_HINT
        )
    return closed_error(reason, doing)


def _offset(delivery: Delivery, otherwise: int) -> int:
    """The offset of a delivery, whose header is the broker's and taken off."""
    headers = delivery.message.headers
    offset = headers.pop(OFFSET, None) if isinstance(headers, dict) else None
    return offset if type(offset) is int and 0 <= offset <= MAX_OFFSET else otherwise


async def _either(event: asyncio.Event, ended: asyncio.Future[Any], timeout: float | None) -> None:
    """Wait for the event or the end, in seconds at most."""
    waiting: asyncio.Future[Any] = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({waiting, ended}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
