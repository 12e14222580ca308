"""Another process at the same broker file: `python child.py VERB PATH …`. It reports on its standard output."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from engine.brokers.embedded import EmbeddedBroker
from engine.model.message import Delivery, Message, Publication


def say(*words: object) -> None:
    print(*words, flush=True)


async def publish(broker: EmbeddedBroker, queue: str, count: str) -> None:
    """Publish so many messages and end."""
    answers = await broker.publish(
        [Publication("", queue, Message(b"x", message_id=str(n))) for n in range(int(count))]
    )
    say("published", answers.count(None))


async def flood(broker: EmbeddedBroker, queue: str) -> None:
    """Publish groups until killed, and say which were confirmed."""

    async def one(lane: int) -> None:
        group = 0
        while True:
            ids = [f"{os.getpid()}.{lane}.{group}.{n}" for n in range(10)]
            answers = await broker.publish([Publication("", queue, Message(b"x" * 300, message_id=i)) for i in ids])
            assert answers == [None] * 10, answers
            say("confirmed", *ids)
            group += 1

    await asyncio.gather(*(one(lane) for lane in range(4)))


async def hold(broker: EmbeddedBroker, queue: str, prefetch: str) -> None:
    """Take messages, keep them unacked, and wait to be killed."""
    await broker.consume(
        queue, prefetch=int(prefetch), receive=lambda delivery: say("holds", delivery.message.message_id)
    )
    await asyncio.Event().wait()


async def listen(broker: EmbeddedBroker, pattern: str) -> None:
    """Say what is heard, until killed."""
    await broker.listen("amq.topic", [pattern], lambda delivery: say("hears", delivery.routing_key), lambda: None)
    say("listens")
    await asyncio.Event().wait()


async def hold_and_fork(broker: EmbeddedBroker, queue: str, prefetch: str) -> None:
    """The same, with a forked child that outlives its parent."""
    forked = os.fork()
    if forked == 0:
        os.close(sys.stdout.fileno())
        time.sleep(60)
        os._exit(0)
    say("forked", forked)
    await hold(broker, queue, prefetch)


async def work(broker: EmbeddedBroker, queue: str, prefetch: str) -> None:
    """Take messages and ack each."""
    arrived: asyncio.Queue[Delivery] = asyncio.Queue()
    subscription = await broker.consume(queue, prefetch=int(prefetch), receive=arrived.put_nowait)
    say("ready")
    while True:
        delivery = await arrived.get()
        await subscription.ack([delivery])
        say("acked", delivery.message.message_id)


VERBS = {verb.__name__: verb for verb in (publish, flood, hold, listen, hold_and_fork, work)}


async def main(verb: str, path: str, *arguments: str) -> None:
    broker = EmbeddedBroker(Path(path))
    await broker.connect()
    try:
        await VERBS[verb](broker, *arguments)  # type: ignore[operator]
    finally:
        await broker.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
