"""Ask and change single things on a plain channel that no consumer and no publish shares."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterator, Sequence
from typing import Any

from aiormq.exceptions import AMQPError

from engine.brokers.base import Depth
from engine.brokers.rabbitmq.calls import RESTART_HINT, abandon, call, closed_error
from engine.brokers.rabbitmq.content import GetSink
from engine.brokers.rabbitmq.counting import CHUNK, CountSink, count
from engine.brokers.rabbitmq.declare import Step, check_name, declare_steps, run_steps
from engine.brokers.rabbitmq.link import CLOSE_TIMEOUT, Channel, Link
from engine.brokers.rabbitmq.tap import Sink
from engine.errors import AccessRefused, BrokerError, BrokerUnavailable, QueueMissing
from engine.model.message import Message
from engine.model.topology import Difference, Topology

#: Seconds that the broker may take for a chunk of declares.
DECLARE_TIMEOUT = 60.0
#: What a quorum queue adds to the headers of a message that is got.
DELIVERY_COUNT = "x-delivery-count"


class Control:
    """One question at a time; the channel is replaced when an answer closed it."""

    def __init__(self, link: Link, *, timeout: float) -> None:
        self._link = link
        self._timeout = timeout
        self._turn = asyncio.Lock()
        self._channel: Channel | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._sink = Sink()

    async def declare(self, topology: Topology) -> None:
        """Make what is missing, all that can be made; then raises the first refusal."""
        steps = declare_steps(topology)
        refusals = await run_steps(await self._link.ready(self._timeout), steps, DECLARE_TIMEOUT)
        if not refusals:
            return
        error = refusals[0].error
        others = len({refusal.step.name for refusal in refusals}) - 1
        if others:
            error = type(error)(f"{error.message} {others} more were refused.", hint=error.hint)
        raise error

    async def refusals(self, topology: Topology) -> dict[str, BrokerError]:
        """Declare again; per queue or exchange why it was refused."""
        line = await self._link.ready(self._timeout)
        refusals = await run_steps(line, declare_steps(topology), DECLARE_TIMEOUT)
        return {refusal.step.name: refusal.error for refusal in refusals if refusal.step.kind != "binding"}

    async def differences(self, topology: Topology) -> list[Difference]:
        """What is missing or has other arguments.

        A declare of what is there with the arguments that are wanted changes nothing: it is
        taken when they are equal and refused when not. AMQP 0-9-1 has no way to read bindings,
        so those are never reported.
        """
        line = await self._link.ready(self._timeout)
        found: dict[tuple[str, str], Difference] = {}
        for step, error in await run_steps(line, declare_steps(topology, passive=True), DECLARE_TIMEOUT):
            if isinstance(error, AccessRefused):
                raise error
            if isinstance(error, QueueMissing):
                found[step.kind, step.name] = Difference(step.kind, step.name, "missing", "not on the broker")
        there: list[Step] = [
            step
            for step in declare_steps(Topology(topology.exchanges, topology.queues))
            if (step.kind, step.name) not in found
        ]
        for step, error in await run_steps(line, there, DECLARE_TIMEOUT):
            if isinstance(error, AccessRefused):
                raise error
            found[step.kind, step.name] = Difference(step.kind, step.name, "mismatch", error.message)
        order = [("exchange", each.name) for each in topology.exchanges]
        order += [("queue", each.name) for each in topology.queues]
        return [found[key] for key in order if key in found]

    async def depths(self, queues: Sequence[str]) -> dict[str, Depth | None]:
        """Asked anew from the broker each time."""
        for queue in queues:
            check_name("queue", queue)
        depths: dict[str, Depth | None] = {}
        at, size = 0, CHUNK
        while at < len(queues):
            chunk = queues[at : at + size]
            found = await self._count(chunk)
            depths.update(zip(chunk, found, strict=False))
            at += len(found)
            size = min(size * 2, CHUNK)
            if len(found) < len(chunk):
                depths[queues[at]] = None
                at += 1
                size = 1  # what is asked behind a missing queue is asked in vain, and its neighbours often miss too
        return depths

    async def has_exchange(self, name: str) -> bool:
        """Whether an exchange of that name is there, of whatever kind."""
        if len(name.encode(errors="replace")) > 255:
            return False
        async with self._turn:
            try:
                await self._ask(f"looking for the exchange {name}", _passive_exchange, name)
            except QueueMissing:
                return False
            return True

    async def get(self, queue: str) -> Message | None:
        """Take one message off, acked; raises `QueueMissing`."""
        check_name("queue", queue)
        async with self._turn:
            channel = await self._open()
            sink = GetSink()
            with self._hearing(channel, sink):
                await self._ask(f"getting from {queue}", _get, queue)
                if sink.message is None or not sink.tag:
                    return None
                await self._ask(f"acking on {queue}", _ack, sink.tag)
                message = sink.message
                message.headers = {name: value for name, value in message.headers.items() if name != DELIVERY_COUNT}
                return message

    async def delete_queue(self, queue: str) -> int:
        """Delete it with what is in it; how many messages were ready, 0 when it was not there."""
        check_name("queue", queue)
        async with self._turn:
            answer = await self._ask(f"deleting {queue}", _delete, queue)
            return answer.message_count or 0

    async def delete_exchange(self, exchange: str) -> None:
        """Delete it with its bindings; no error when it was not there."""
        check_name("exchange", exchange)
        async with self._turn:
            await self._ask(f"deleting the exchange {exchange}", _delete_exchange, exchange)

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=CLOSE_TIMEOUT)

    async def _count(self, queues: Sequence[str]) -> list[Depth]:
        """The depths up to the first queue that is missing."""
        async with self._turn:
            channel = await self._open()
            sink = CountSink(len(queues))
            with self._hearing(channel, sink), contextlib.suppress(QueueMissing):
                await self._ask(f"reading the depth of {queues[0]}", count, queues, self._timeout)
            return sink.depths

    @contextlib.contextmanager
    def _hearing(self, channel: Channel, sink: Sink) -> Iterator[None]:
        """Let the sink hear the channel for a while."""
        self._sink = sink
        channel.attach(sink)
        try:
            yield
        finally:
            self._sink = Sink()
            if self._channel is channel and channel.heard:
                channel.attach(self._sink)

    async def _leave(self, channel: Channel, asked: asyncio.Future[Any]) -> None:
        """Close a channel whose question nobody waits for any more, once that is answered.

        aiormq would close it at once. When that crosses the broker's own close, it takes the broker's second answer
        for one to the channel that it has given the number to meanwhile, and the connection is lost.
        """
        await asyncio.wait((asked,), timeout=self._timeout)
        abandon(asked)
        await channel.close()

    async def _open(self) -> Channel:
        channel = self._channel
        if channel is None or not channel.is_open or self._sink.reason is not None:
            line = await self._link.ready(self._timeout)
            channel = self._channel = await line.channel(self._timeout)
            self._sink = Sink()
            channel.attach(self._sink)
        return channel

    async def _ask(self, doing: str, question: Any, *about: Any) -> Any:
        """Ask on the channel; raises what it means that the broker closed it."""
        channel = await self._open()
        sink = self._sink
        asked = asyncio.ensure_future(question(channel, *about))
        try:
            return await call(doing, asyncio.shield(asked), self._timeout)
        except asyncio.CancelledError:
            self._channel = None
            leaving = asyncio.create_task(self._leave(channel, asked))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
            raise
        except (BrokerError, AMQPError, RuntimeError, OSError) as error:
            self._channel = None
            abandon(asked)
            if sink.reason is not None:
                raise closed_error(sink.reason, doing) from None
            await channel.close()
            if isinstance(error, BrokerError):
                raise
            raise BrokerUnavailable(f"The connection to RabbitMQ was lost while {doing}.", hint=RESTART_HINT) from None


def _passive_exchange(channel: Channel, name: str) -> Awaitable[Any]:
    return channel.amqp.exchange_declare(name, passive=True)


def _get(channel: Channel, queue: str) -> Awaitable[Any]:
    return channel.amqp.basic_get(queue)


def _ack(channel: Channel, tag: int) -> Awaitable[Any]:
    return channel.amqp.basic_ack(tag)


def _delete(channel: Channel, queue: str) -> Awaitable[Any]:
    return channel.amqp.queue_delete(queue, if_unused=False, if_empty=False)


def _delete_exchange(channel: Channel, exchange: str) -> Awaitable[Any]:
    return channel.amqp.exchange_delete(exchange, if_unused=False)
