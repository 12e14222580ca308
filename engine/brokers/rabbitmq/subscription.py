"""Consume one queue on a channel of its own, and consume it again whenever that is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from aiormq.exceptions import AMQPError

from engine.brokers.rabbitmq.acks import Ledger
from engine.brokers.rabbitmq.calls import RESTART_HINT, call, closed_error, retry_delay
from engine.brokers.rabbitmq.content import DeliverySink
from engine.brokers.rabbitmq.encode import SETTLE_SIZE
from engine.brokers.rabbitmq.link import Channel, Line, Link
from engine.errors import BrokerError, BrokerUnavailable, QueueMissing
from engine.model.message import Delivery

#: Seconds after which a consumer counts as healthy, so that its next retry is fast again.
HEALTHY_AFTER = 10.0
#: A quorum queue takes 32 acks of a channel at a time; the broker keeps more until those are on
#: disk, and forgets what it keeps when the channel closes: those deliveries would come again.
#: So after a burst of that many ack frames a close waits this long, in seconds.
ACK_SETTLING = 0.5
ACK_BURST = 16


async def unexpected(_message: object) -> None:
    """aiormq asks for a callback; the tap takes each delivery before it."""


class RabbitSubscription:
    """A consumer on one queue; see `engine.brokers.base.Subscription`.

    `prepare` is awaited before each new start, with whether the queue was found missing.
    `idle` says after how many idle seconds a consumer is renewed where that is needed.
    `report` hears an error when the queue is lost, None when it is consumed again.
    `single`: the queue has a single active consumer, as far as this connection declared it.
    """

    def __init__(
        self,
        link: Link,
        queue: str,
        prefetch: int,
        receive: Callable[[Delivery], None],
        *,
        timeout: float,
        gate: asyncio.Semaphore,
        idle: Callable[[], float],
        prepare: Callable[[str, bool], Awaitable[None]],
        report: Callable[[str, BrokerError | None], None],
        closed: Callable[[RabbitSubscription], None],
        single: bool = False,
    ) -> None:
        self.queue = queue
        self._link = link
        self._prefetch = prefetch
        self._receive = receive
        self._timeout = timeout
        self._gate = gate
        self._idle = idle
        self._prepare = prepare
        self._report = report
        self._closed = closed
        self._single = single
        self._generation = 0
        self._channel: Channel | None = None
        self._ledger = Ledger(0)
        self._tag = ""
        self._sink: DeliverySink | None = None
        self._ended: asyncio.Future[bool] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._wanted = True
        self._acked_at = 0.0
        self._ack_frames = 0

    async def start(self) -> None:
        """Consume, then keep consuming; raises when the first start fails."""
        await self._begin(await self._link.ready(self._timeout))
        self._keeper = asyncio.create_task(self._keep(), name=f"warren consumer {self.queue}")

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        generation = self._generation
        await self._write(self._ledger.ack([each.tag for each in deliveries if each.generation == generation]))

    async def nack(self, deliveries: Sequence[Delivery], *, requeue: bool) -> None:
        generation = self._generation
        tags = [each.tag for each in deliveries if each.generation == generation]
        await self._write(self._ledger.nack(tags, requeue))

    async def cancel(self) -> None:
        if not self._wanted:
            return
        self._wanted = False
        await self._stop_keeping()
        channel = self._channel
        if channel is not None and channel.is_open and self._tag:
            with contextlib.suppress(BrokerError, AMQPError, RuntimeError, OSError):
                await call(f"cancelling {self.queue}", channel.amqp.basic_cancel(self._tag), self._timeout)

    async def close(self) -> None:
        # No `basic.cancel`: with that a queue with a single active consumer is the next one's, before it is given
        # back what is out here. The end of the channel does both at once.
        self._wanted = False
        await self._stop_keeping()
        channel, self._channel = self._channel, None
        if self._sink is not None:
            self._sink.mute()
        if channel is not None:
            since = asyncio.get_running_loop().time() - self._acked_at
            if self._ack_frames > ACK_BURST and since < ACK_SETTLING and channel.is_open:
                await asyncio.sleep(ACK_SETTLING - since)
            await channel.close()
        self._closed(self)

    async def _stop_keeping(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait((keeper,))

    async def _write(self, frames: bytes) -> None:
        channel = self._channel
        if frames and channel is not None and channel.is_open:
            now = asyncio.get_running_loop().time()
            fresh = now - self._acked_at > ACK_SETTLING
            self._ack_frames = len(frames) // SETTLE_SIZE + (0 if fresh else self._ack_frames)
            self._acked_at = now
            with contextlib.suppress(BrokerUnavailable):  # then the deliveries come again
                await channel.write(frames, self._timeout)

    async def _begin(self, line: Line) -> None:
        """Consume on a new channel of this connection; raises a `BrokerError`."""
        async with self._gate:
            await self._begin_on(line)

    async def _begin_on(self, line: Line) -> None:
        doing = f"consuming {self.queue}"
        channel = await line.channel(self._timeout)
        self._generation += 1
        ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        sink = DeliverySink(
            self.queue,
            self._generation,
            self._receive,
            lambda cancelled: None if ended.done() else ended.set_result(cancelled),
        )
        self._channel, self._ledger, self._sink, self._ended = channel, Ledger(channel.number), sink, ended
        channel.attach(sink)
        try:
            self._tag = await self._consume(channel, doing)
        except (BrokerError, AMQPError, RuntimeError, OSError) as error:
            await channel.close()
            if sink.reason is not None:
                raise closed_error(sink.reason, doing) from None
            if isinstance(error, BrokerError):
                raise
            raise BrokerUnavailable(f"The connection was lost while {doing}.", hint=RESTART_HINT) from None
        if not line.is_up:
            raise BrokerUnavailable(f"The connection was lost while {doing}.", hint=RESTART_HINT)

    async def _consume(self, channel: Channel, doing: str) -> str:
        """Begin to consume on a new channel; the consumer's tag."""
        await call(doing, channel.amqp.basic_qos(prefetch_count=self._prefetch), self._timeout)
        answer = await call(doing, channel.amqp.basic_consume(self.queue, unexpected), self._timeout)
        return answer.consumer_tag or ""

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        missing = False
        lost: BrokerError | None = None
        while True:
            if lost is None:
                since = loop.time()
                lost = await self._lost()
                failures = 0 if loop.time() - since > HEALTHY_AFTER else failures + 1
            line = self._link.line
            if lost is None:  # to be renewed
                missing = True
            elif line is not None and line.is_up:  # only this queue is hit
                self._report(self.queue, lost)
                await asyncio.sleep(retry_delay(failures))
            try:
                line = await self._link.ready(self._timeout)
                missing = missing or isinstance(lost, QueueMissing)
                await self._prepare(self.queue, missing)
                missing = False  # what was declared is there, as it was declared
                await self._begin(line)
            except BrokerError as error:
                lost = error
                failures += 1
                continue
            lost = None
            self._report(self.queue, None)

    async def _lost(self) -> BrokerError | None:
        """Wait until the consumer is gone, tidy up, and say why; None when it is to be renewed."""
        channel, ended, sink = self._channel, self._ended, self._sink
        assert channel is not None
        assert ended is not None
        assert sink is not None
        if await self._renewal(channel, ended, sink):
            await channel.close()
            return None
        cancelled = await ended
        await channel.close()
        if sink.reason is not None:
            return closed_error(sink.reason, f"consuming {self.queue}")
        if cancelled:
            return QueueMissing(
                f"The queue {self.queue!r} was deleted while it was consumed.", hint="It is declared again."
            )
        return BrokerUnavailable(f"The connection was lost while consuming {self.queue}.", hint=RESTART_HINT)

    async def _renewal(self, channel: Channel, ended: asyncio.Future[bool], sink: DeliverySink) -> bool:
        """True when the consumer was idle so long that it is renewed; False when it ended.

        For brokers that do not tell that a queue was deleted and made anew.
        """
        while True:
            seen = sink.tag
            await asyncio.wait((ended,), timeout=None if channel.line.tells_deletions else self._idle())
            if ended.done():
                return False
            if sink.tag == seen and self._ledger.settled_to(seen):
                if self._single:
                    return True
                doing = f"renewing the consumer of {self.queue}"
                try:
                    await call(doing, channel.amqp.basic_cancel(self._tag), self._timeout)
                    if sink.tag == seen:
                        return True
                    answer = await call(doing, channel.amqp.basic_consume(self.queue, unexpected), self._timeout)
                    self._tag = answer.consumer_tag or ""
                except (BrokerError, AMQPError, RuntimeError, OSError):
                    return not ended.done()
