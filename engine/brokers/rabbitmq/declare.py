"""Declare many things in few round trips, and find the ones that the broker refuses.

Declares go out without waiting (`nowait`), with one question that is answered at the end of
each chunk. A refusal closes the channel, which is a throw-away: the broker's words name the
culprit, and the rest goes on behind it on a new channel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from aiormq.abc import ChannelFrame
from aiormq.exceptions import AMQPError
from pamqp import commands
from pamqp.base import Frame

from engine.brokers.rabbitmq.calls import RESTART_HINT, call, closed_error
from engine.brokers.rabbitmq.link import Line
from engine.brokers.rabbitmq.tap import Sink
from engine.errors import BrokerError, BrokerUnavailable, ConfigurationError
from engine.model.topology import Topology

#: Declares between two answers; a quorum queue takes the broker some milliseconds.
CHUNK = 64
#: Channels that declare many things side by side.
LANES = 4


class Step(NamedTuple):
    """One declare, and the words by which the broker's refusal can be told to be about it."""

    kind: str  # "exchange", "queue", "binding"
    name: str
    frame: Frame
    words: tuple[str, ...]


class Refusal(NamedTuple):
    """A step that the broker did not take."""

    step: Step
    error: BrokerError


def declare_steps(topology: Topology, *, passive: bool = False) -> list[Step]:
    """Exchanges, queues, then bindings. Passive ones ask only whether it is there; bindings cannot."""
    steps = []
    for exchange in topology.exchanges:
        check_name("exchange", exchange.name)
        steps.append(
            Step(
                "exchange",
                exchange.name,
                commands.Exchange.Declare(
                    exchange=exchange.name,
                    exchange_type=exchange.kind,
                    passive=passive,
                    durable=True,
                    nowait=True,
                    arguments=dict(exchange.arguments),
                ),
                (f"exchange '{exchange.name}' in vhost",),
            )
        )
    for queue in topology.queues:
        check_name("queue", queue.name)
        steps.append(
            Step(
                "queue",
                queue.name,
                commands.Queue.Declare(
                    queue=queue.name, passive=passive, durable=True, nowait=True, arguments=dict(queue.arguments)
                ),
                (f"queue '{queue.name}' in vhost",),
            )
        )
    for binding in () if passive else topology.bindings:
        check_name("binding pattern", binding.pattern)
        steps.append(
            Step(
                "binding",
                f"{binding.exchange} → {binding.queue} ({binding.pattern})",
                commands.Queue.Bind(
                    queue=binding.queue,
                    exchange=binding.exchange,
                    routing_key=binding.pattern,
                    nowait=True,
                    arguments={},
                ),
                (f"queue '{binding.queue}' in vhost", f"exchange '{binding.exchange}' in vhost"),
            )
        )
    return steps


async def run_steps(line: Line, steps: Sequence[Step], timeout: float) -> list[Refusal]:
    """Run all steps, kind by kind, and answer which were refused; raises `BrokerUnavailable`.

    `timeout` is in seconds and holds for each chunk.
    """
    refusals: list[Refusal] = []
    for kind in ("exchange", "queue", "binding"):
        part = [step for step in steps if step.kind == kind]
        lanes = LANES if len(part) > CHUNK else 1
        runs = (_run_lane(line, part[lane::lanes], timeout) for lane in range(lanes))
        for result in await asyncio.gather(*runs, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
            refusals += result
    return refusals


async def _run_lane(line: Line, steps: Sequence[Step], timeout: float) -> list[Refusal]:
    refusals: list[Refusal] = []
    at, singly_until = 0, 0
    while at < len(steps):
        channel = await line.channel(timeout)
        sink = Sink()
        channel.attach(sink)
        try:
            while at < len(steps):
                size = 1 if at < singly_until else CHUNK
                chunk = steps[at : at + size]
                try:
                    frames = ChannelFrame.marshall(channel.number, [step.frame for step in chunk])
                    await channel.write(frames.payload, timeout)
                    await call("declaring", channel.amqp.basic_qos(prefetch_count=1), timeout)
                except (AMQPError, BrokerError, RuntimeError, OSError) as error:
                    if sink.reason is None:
                        raise _unavailable(error) from None
                    culprit = _culprit(chunk, sink.reason.text)
                    if culprit is None:
                        singly_until = at + size
                    else:
                        step = chunk[culprit]
                        refusals.append(Refusal(step, closed_error(sink.reason, f"declaring {step.kind} {step.name}")))
                        at += culprit + 1
                    break
                at += len(chunk)
        finally:
            await channel.close()
    return refusals


def check_name(kind: str, name: str) -> None:
    """Raises `ConfigurationError` for what would not fit into a frame."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ConfigurationError(f"The {kind} {name!r} holds characters that UTF-8 cannot carry.") from None
    if size > 255:
        raise ConfigurationError(f"The {kind} {name[:40]!r}… has {size} bytes; RabbitMQ takes 255.")


def part_for(topology: Topology, queue: str) -> Topology:
    """What of a topology one queue needs: itself, its bindings and their exchanges."""
    bindings = tuple(binding for binding in topology.bindings if binding.queue == queue)
    used = {binding.exchange for binding in bindings}
    return Topology(
        tuple(exchange for exchange in topology.exchanges if exchange.name in used),
        tuple(each for each in topology.queues if each.name == queue),
        bindings,
    )


def joined(first: Topology, second: Topology) -> Topology:
    """Both together; where both name a thing, the second says how it is."""
    exchanges = {each.name: each for each in (*first.exchanges, *second.exchanges)}
    queues = {each.name: each for each in (*first.queues, *second.queues)}
    bindings = dict.fromkeys((*first.bindings, *second.bindings))
    return Topology(tuple(exchanges.values()), tuple(queues.values()), tuple(bindings))


def _culprit(chunk: Sequence[Step], text: str) -> int | None:
    if len(chunk) == 1:
        return 0
    for index, step in enumerate(chunk):
        if any(words in text for words in step.words):
            return index
    return None


def _unavailable(error: Exception) -> BrokerUnavailable:
    if isinstance(error, BrokerUnavailable):
        return error
    return BrokerUnavailable(f"The connection to RabbitMQ was lost while declaring: {error}.", hint=RESTART_HINT)
