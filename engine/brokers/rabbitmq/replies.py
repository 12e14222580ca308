"""Requests and their replies, by RabbitMQ's direct reply-to.

Both must go over one channel, so that has a consumer, confirms and returns at once. It is a plain one: a channel that a
library restores by itself forgets its consumer of replies, and then each request closes it.
https://www.rabbitmq.com/docs/direct-reply-to
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from aiormq.exceptions import AMQPError

from engine.brokers.rabbitmq.calls import RESTART_HINT, call, closed_error
from engine.brokers.rabbitmq.content import DeliverySink, PublishSink, method_of
from engine.brokers.rabbitmq.flight import CHUNK_MESSAGES, Batch, Flight
from engine.brokers.rabbitmq.link import Channel
from engine.brokers.rabbitmq.subscription import unexpected
from engine.brokers.rabbitmq.tap import METHOD, Sink
from engine.errors import BrokerError, BrokerUnavailable
from engine.model.message import Delivery, Publication

#: The name that stands for a connection's own replies.
REPLY_TO = "amq.rabbitmq.reply-to"


class _BothWays(Sink):
    """Hears what was returned and confirmed, and what is delivered, on one channel."""

    def __init__(self, publishing: PublishSink, delivering: DeliverySink, ended: Callable[[], None]) -> None:
        self._publishing = publishing
        self._delivering = delivering
        self._ended = ended
        self._current: Sink = publishing

    def frame(self, kind: int, data: bytes, at: int, end: int) -> bytes | None:
        if kind == METHOD:
            self._current = self._publishing if method_of(data, at) in PublishSink.METHODS else self._delivering
        return self._current.frame(kind, data, at, end)

    def closed(self) -> None:
        self._publishing.reason = self.reason
        self._publishing.closed()
        self._ended()

    def lost(self) -> None:
        self._publishing.lost()
        self._ended()


class RabbitReplies:
    """See `engine.brokers.base.Replies`. It lives as long as its channel."""

    def __init__(
        self,
        channel: Channel,
        receive: Callable[[Delivery], None],
        lost: Callable[[BrokerError], None],
        *,
        timeout: float,
        closed: Callable[[RabbitReplies], None],
    ) -> None:
        self._channel = channel
        self._lost = lost
        self._timeout = timeout
        self._closed = closed
        self._order = asyncio.Lock()
        self._is_over = False
        self._flight = Flight(channel)
        self._sink = _BothWays(
            self._flight.sink, DeliverySink(REPLY_TO, 0, receive, lambda _cancelled: None), self._over
        )
        channel.attach(self._sink)

    async def start(self) -> None:
        """Consume the replies; raises a `BrokerError`."""
        doing = "opening a way for replies"
        try:
            await call(doing, self._channel.amqp.basic_consume(REPLY_TO, unexpected, no_ack=True), self._timeout)
        except (BrokerError, AMQPError, RuntimeError, OSError) as error:
            self._is_over = True
            await self._channel.close()
            if self._sink.reason is not None:
                raise closed_error(self._sink.reason, doing) from None
            if isinstance(error, BrokerError):
                raise
            raise BrokerUnavailable(f"The connection was lost while {doing}.", hint=RESTART_HINT) from None
        if not self._channel.is_open:
            self._over()

    async def publish(self, publications: Sequence[Publication]) -> list[BrokerError | None]:
        """Publish in order; per message None once confirmed, else why it was not."""
        batch = Batch([replace(each, message=replace(each.message, reply_to=REPLY_TO)) for each in publications])
        todo: Sequence[int] = range(len(publications))
        async with self._order:
            while todo:
                if not self._flight.is_open:
                    raise BrokerUnavailable("The way for replies was lost.", hint=RESTART_HINT)
                payload, taken = self._flight.load(batch, todo, CHUNK_MESSAGES)
                if payload:
                    try:
                        await self._channel.write(payload, self._timeout)
                    except BrokerUnavailable:
                        self._flight.ended()  # the numbers are out of step now
                        await self._channel.close()
                        self._over()
                todo = todo[taken:]
        if not await batch.settle_to(0, self._timeout):
            self._flight.forsake(batch, BrokerUnavailable(f"RabbitMQ confirmed nothing for {self._timeout:g} s."))
        for index in batch.again:
            batch.results[index] = BrokerUnavailable("The channel was lost before this was read.", hint=RESTART_HINT)
        return batch.results

    async def close(self) -> None:
        """Take no more replies."""
        if not self._is_over:
            self._is_over = True
            await self._channel.close()
            self._flight.ended()
            self._closed(self)

    def _over(self) -> None:
        """The channel is gone, by whatever cause."""
        if self._is_over:
            return
        self._is_over = True
        self._closed(self)
        reason = self._sink.reason
        self._lost(
            BrokerUnavailable("The connection to RabbitMQ was lost.", hint=RESTART_HINT)
            if reason is None
            else closed_error(reason, "waiting for replies")
        )
