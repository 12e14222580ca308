"""The delay rungs, end to end."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from engine.brokers.base import Broker, Subscription
from engine.model.delay import EARLY, RUNGS, plan, rung_queue, unwrap
from engine.model.message import Delivery, Message, Publication
from engine.model.topology import Topology, delay_topology, due_name
from engine.testing.conformance.bed import Bed, Check, Make, expect, expect_equal

#: Seconds that a message may be late on a busy machine, on top of what was planned.
_LATE: Final = 3.0


class _Forwarder:
    """The least that a worker does for the due queue."""

    def __init__(self, app: str, broker: Broker) -> None:
        self._app, self._broker = app, broker
        self._due: asyncio.Queue[Delivery] = asyncio.Queue()
        self.hops = 0

    async def run(self) -> None:
        subscription = await self._broker.consume(due_name(self._app), prefetch=100, receive=self._due.put_nowait)
        while True:
            await self._forward(subscription, await self._due.get())

    async def _forward(self, subscription: Subscription, delivery: Delivery) -> None:
        target, due = unwrap(delivery)
        self.hops += 1
        results = await self._broker.publish([plan(self._app, target, due, time.time())])
        expect_equal(results, [None], "The result of forwarding")
        await subscription.ack([delivery])


async def check_delays(make: Make) -> None:
    """Delayed messages reach a queue and an exchange, whole, never early and hardly late, shorter ones first."""
    async with Bed(make) as bed:
        app = bed.uid
        short = {rung_queue(app, ms) for ms in RUNGS[:3]}
        wanted = delay_topology(app)
        needed = tuple(queue for queue in wanted.queues if queue.name in short | {due_name(app)})
        for queue in needed:
            bed.name(queue.name.removeprefix(f"{app}."))
        await bed.broker.declare(Topology(queues=needed))
        target = await bed.queue("target")
        await bed.bind(target, f"{app}.later")
        arrived: dict[str | None, tuple[float, Message]] = {}
        everything = asyncio.Event()

        def receive(delivery: Delivery) -> None:
            arrived[delivery.message.message_id] = (time.time(), delivery.message)
            if len(arrived) == len(due):
                everything.set()

        due: dict[str, float] = {}
        subscription = await bed.broker.consume(target, prefetch=100, receive=receive)
        forwarder = _Forwarder(app, bed.broker)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(forwarder.run())
            start = time.time()
            publications = []
            for number, delay in enumerate((1.6, 0.9, 0.3, 0.0, 1.2, 0.1)):
                due[str(number)] = start + delay
                message = Message(b"%d" % number, headers={"n": number}, message_id=str(number))
                to = ("", target) if number % 2 else (bed.topic, f"{app}.later")
                publications.append(plan(app, Publication(*to, message), start + delay, start, exact=delay < 1))
            await bed.publish(publications)
            async with asyncio.timeout(20):
                await everything.wait()
            running.cancel()
        for message_id, when in due.items():
            moment, message = arrived[message_id]
            expect(moment >= when - EARLY - 0.005, f"Message {message_id} came {when - moment:.3f} s early")
            expect(moment <= when + _LATE, f"Message {message_id} came {moment - when:.3f} s late")
            mine = {name: value for name, value in message.headers.items() if not name.startswith("x-")}
            expect_equal((message.body, mine), (message_id.encode(), {"n": int(message_id)}), "What arrived")
        expect(forwarder.hops >= 5, f"Only {forwarder.hops} messages went through the due queue")
        await subscription.close()


CHECKS: Final[tuple[Check, ...]] = (check_delays,)
