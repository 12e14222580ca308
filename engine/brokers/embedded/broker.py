"""The broker port on a SQLite file that processes of one machine share."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

from engine.brokers.base import Depth, Entry, Span
from engine.brokers.embedded import actions, streams
from engine.brokers.embedded.consumers import Batch
from engine.brokers.embedded.encoding import encode
from engine.brokers.embedded.replies import EmbeddedReplies
from engine.brokers.embedded.session import Session
from engine.brokers.embedded.store import Standing
from engine.brokers.embedded.subscription import EmbeddedSubscription
from engine.brokers.embedded.thread import BrokerThread, Request
from engine.errors import BrokerError, BrokerUnavailable
from engine.model.message import Delivery, Message, Publication
from engine.model.topology import Difference, Topology

#: How long a call waits for its answer, in seconds.
TIMEOUT: Final = 10.0
#: Seconds between two looks for new entries of a stream.
LOOK: Final = 0.05


class EmbeddedBroker:
    """See `engine.brokers.base.Broker`. `path` is the broker file; it is made where there is none.

    What is confirmed is on disk, unless `durable` is false: then it survives a kill of the
    process but not of the machine. `clock` tells the seconds since the epoch for queue TTLs.
    """

    def __init__(
        self,
        path: Path,
        *,
        app: str = "warren",
        durable: bool = True,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.on_state: Callable[[str | None, BrokerError | None], None] | None = None
        #: Called after each transaction of this connection that wrote something, once its answers and messages are out.
        self.on_turn: Callable[[], None] | None = None
        self.path = Path(path).expanduser().resolve()
        self._app = app
        self._durable = durable
        self._timeout = timeout
        self._clock = clock
        self._numbers = count(1)
        self._ailing = False
        self._thread: BrokerThread | None = None

    async def connect(self) -> None:
        """Open the file; raises `BrokerUnavailable`."""
        if self._thread is not None:
            return
        session = Session(self.path, app=self._app, durable=self._durable, clock=self._clock)
        thread = BrokerThread(session, on_group=self._on_group, on_state=self._report)
        try:
            await asyncio.wait_for(thread.opened, self._timeout)
        except TimeoutError:
            thread.close()
            raise self._silent() from None
        self._thread = thread

    async def close(self) -> None:
        """Give back what is not acked, and leave."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()
            await asyncio.wait({thread.ended}, timeout=self._timeout)

    async def declare(self, topology: Topology) -> None:
        """Make what is missing, all or nothing; raises `TopologyMismatch` where arguments differ."""
        await self.ask(partial(actions.declare, topology=topology))

    async def differences(self, topology: Topology) -> list[Difference]:
        """Where the broker differs from the topology."""
        found: list[Difference] = await self.ask(lambda session: session.catalog.differences(topology), reads=True)
        return found

    async def publish(self, publications: Sequence[Publication]) -> list[BrokerError | None]:
        """Publish in order, in one transaction; per message None once committed, else why it was not."""
        answers: list[BrokerError | None] = [None] * len(publications)
        rows = []
        places = []
        for place, publication in enumerate(publications):
            try:
                rows.append((encode(publication), publication.mandatory))
            except BrokerError as error:
                answers[place] = error
            else:
                places.append(place)
        if rows:
            try:
                written = await self.ask(partial(actions.publish, rows=rows), weight=len(rows))
            except BrokerError as error:
                written = [error] * len(rows)
            for place, answer in zip(places, written, strict=True):
                answers[place] = answer
        return answers

    async def consume(self, queue: str, *, prefetch: int, receive: Callable[[Delivery], None]) -> EmbeddedSubscription:
        """Deliver each message to `receive`; raises `QueueMissing`."""
        subscription = EmbeddedSubscription(self, next(self._numbers), receive)
        await self._begin(subscription, partial(actions.consume, name=queue, prefetch=prefetch))
        return subscription

    async def listen(
        self, exchange: str, patterns: Sequence[str], receive: Callable[[Delivery], None], missed: Callable[[], None]
    ) -> EmbeddedSubscription:
        """Deliver what is published to the exchange from now on; raises `QueueMissing` without it."""
        subscription = EmbeddedSubscription(self, next(self._numbers), receive, missed)
        name = f"{self._app}.listener.{uuid.uuid4().hex}"
        await self._begin(subscription, partial(actions.listen, name=name, temporary=(exchange, tuple(patterns))))
        return subscription

    async def replies(
        self, receive: Callable[[Delivery], None], lost: Callable[[BrokerError], None]
    ) -> EmbeddedReplies:
        """Open a way for requests. `lost` hears once that it is over, and then another can be opened."""
        name = f"{self._app}.replies.{uuid.uuid4().hex}"
        replies = EmbeddedReplies(self, name, lost)
        replies.subscription = EmbeddedSubscription(self, next(self._numbers), receive, replies.over)
        await self._begin(replies.subscription, partial(actions.listen, name=name, temporary=("", ())))
        return replies

    async def _begin(self, subscription: EmbeddedSubscription, begin: Callable[..., Any]) -> None:
        try:
            await self.ask(partial(begin, number=subscription.number, receiver=subscription))
        except (BrokerUnavailable, asyncio.CancelledError):
            # It may have been done though nobody waited any more.
            if self._thread is not None:
                self.tell(partial(actions.remove, number=subscription.number))
            raise

    async def depths(self, queues: Sequence[str]) -> dict[str, Depth | None]:
        """The depth of each queue, None where it is missing."""
        found: dict[str, Depth | None] = await self.ask(partial(actions.depths, names=queues), reads=True)
        return found

    async def span(self, stream: str, since: float | None = None) -> Span:
        """What a stream holds, or holds since a time; raises `QueueMissing`. Changes nothing."""
        found: Span = await self.ask(partial(streams.span, name=stream, since=since), reads=True)
        return found

    async def read(self, stream: str, offset: int, *, prefetch: int = 250) -> AsyncGenerator[Entry, None]:
        """The entries of a stream from an offset on, without end."""
        number: int | None = None
        while True:
            work = partial(streams.entries, name=stream, number=number, offset=offset, limit=prefetch)
            number, found = await self.ask(work, reads=True)
            for entry in found:
                offset = entry.offset + 1
                yield entry
            if not found:
                await asyncio.sleep(LOOK)

    async def get(self, queue: str) -> Message | None:
        """Take one message off a queue at once, acked; raises `QueueMissing`."""
        message: Message | None = await self.ask(partial(actions.get, name=queue))
        return message

    async def delete_queue(self, queue: str) -> int:
        """Delete a queue with what is in it; the number of messages that were ready."""
        waiting: int = await self.ask(partial(actions.delete_queue, name=queue))
        return waiting

    async def delete_exchange(self, exchange: str) -> None:
        """Delete an exchange with its bindings, if it is there."""
        await self.ask(partial(actions.delete_exchange, name=exchange))

    async def standing(self) -> Standing:
        """What moves now, and what moves later. For tests: on a broker at work it is the past when it is told."""
        found: Standing = await self.ask(actions.standing, reads=True)
        return found

    def tell(self, work: Callable[[Session], Any], *, weight: int = 1) -> None:
        """Have it done, without waiting for it."""
        if self._thread is not None:
            self._thread.submit(Request(work, None, weight=weight))

    async def ask(self, work: Callable[[Session], Any], *, weight: int = 1, reads: bool = False) -> Any:
        """Have it done in the next transaction; raises `BrokerUnavailable` when that takes too long."""
        if self._thread is None:
            raise BrokerUnavailable("The broker is not connected.", hint="Call connect() first.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        timer = loop.call_later(self._timeout, self._give_up, future)
        try:
            self._thread.submit(Request(work, future, weight=weight, reads=reads))
            return await future
        finally:
            timer.cancel()

    def _give_up(self, future: asyncio.Future[Any]) -> None:
        if not future.done():
            future.set_exception(self._silent())
            self._report(None, self._silent())

    def _silent(self) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"The broker file {self.path} gave no answer within {self._timeout:g} s.",
            hint="Look for a program that holds it (fuser shows which), and whether the disk is full.",
        )

    def _on_group(self, requests: Sequence[Request], batches: Sequence[Batch]) -> None:
        self._report(None, None)
        for request in requests:
            request.answer()
        for batch in batches:
            try:
                batch.consumer.receiver.deliver(batch.deliveries)
            except Exception as error:
                asyncio.get_running_loop().call_exception_handler(
                    {"message": f"Receiving from {batch.consumer.queue!r} failed", "exception": error}
                )
        if self.on_turn is not None and (batches or not all(request.reads for request in requests)):
            self.on_turn()

    def _report(self, queue: str | None, error: BrokerError | None) -> None:
        if queue is None:
            if (error is not None) == self._ailing:
                return  # said before
            self._ailing = error is not None
        if self.on_state is not None:
            self.on_state(queue, error)
