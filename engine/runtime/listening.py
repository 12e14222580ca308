"""Events as they come, for as long as somebody listens: `async for event in engine.subscribe("order.*")`."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

from engine.brokers.base import Broker, Subscription
from engine.errors import BrokerError, DecodingError, UsageError
from engine.model.codec import Limits, Payloads, build_event, decode
from engine.model.event import Event
from engine.model.message import Delivery
from engine.runtime import clock
from engine.runtime.ids import new_id

T = TypeVar("T")

logger = logging.getLogger("warren.subscribe")

#: Events that wait for a slow reader, unless said otherwise, and at most.
DEFAULT_BUFFER = 1000
MOST_BUFFER = 1_000_000
#: Bytes of bodies that wait for a slow reader, however few events they are.
BUFFER_BYTES = 64 * 1024 * 1024


class Subscriber(Generic[T]):
    """Events of some types, from now on; made by `Engine.subscribe`. Nothing of it remains on the broker afterwards.

    Iterate over it at once, or within `async with`, which has it in place before the first event is asked for.
    `missed` counts the events that were dropped, the oldest first, while the buffer was full; `gaps` how often the broker was
    away, when it missed what was published meanwhile; `unreadable` what could not be read as what was asked for.
    """

    def __init__(
        self,
        broker: Broker,
        exchange: str,
        patterns: Sequence[str],
        payloads: Payloads,
        *,
        buffer: int,
        limits: Limits,
        opened: Callable[[Sequence[str]], Awaitable[None]],
        closed: Callable[[Subscriber[T]], None],
    ) -> None:
        if type(buffer) is not int or not 1 <= buffer <= MOST_BUFFER:
            raise UsageError(f"buffer={buffer!r} is not a whole number from 1 to {MOST_BUFFER}")
        self.patterns = tuple(patterns)
        self.missed = 0
        self.gaps = 0
        self.unreadable = 0
        self._broker = broker
        self._exchange = exchange
        self._payloads = payloads
        self._buffer = buffer
        self._limits = limits
        self._opened = opened
        self._closed = closed
        self._waiting: deque[Delivery] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._subscription: Subscription | None = None
        self._ended = False

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncGenerator[Event[T], None]:
        mine = self._subscription is None
        if mine:
            await self.open()
        try:
            while (event := await self._next()) is not None:
                yield event
        finally:
            if mine:
                await self.close()

    async def open(self) -> None:
        """Listen from now on; raises a `BrokerError`."""
        if self._ended:
            raise UsageError("this subscription is over", hint="Make a new one with engine.subscribe(…).")
        if self._subscription is None:
            self._subscription = await self._broker.listen(self._exchange, self.patterns, self._receive, self._was_away)
            await self._opened(self.patterns)

    async def close(self) -> None:
        """Listen no more. What is read from it ends."""
        self._ended = True
        self._arrived.set()
        self._waiting.clear()
        self._bytes = 0
        self._closed(self)
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            try:
                await subscription.close()
            except BrokerError as error:
                logger.debug("a subscription was not closed in good order: %s", error.message)

    def _receive(self, delivery: Delivery) -> None:
        size = len(delivery.message.body)
        if size > self._limits.size:
            self._unreadable(f"its body has {size} bytes; the limit is {self._limits.size}")
            return
        while self._waiting and (len(self._waiting) >= self._buffer or self._bytes + size > BUFFER_BYTES):
            self._oldest()
            self.missed += 1
            if self.missed & (self.missed - 1) == 0:  # 1, 2, 4, 8, …
                logger.warning(
                    "whoever listens to %s is too slow: %d of the oldest events were dropped",
                    ", ".join(self.patterns),
                    self.missed,
                )
        self._waiting.append(delivery)
        self._bytes += size
        self._arrived.set()

    def _oldest(self) -> Delivery:
        delivery = self._waiting.popleft()
        self._bytes -= len(delivery.message.body)
        return delivery

    def _unreadable(self, why: str) -> None:
        self.unreadable += 1
        logger.warning("an event for %s cannot be read: %s", ", ".join(self.patterns), why)

    def _was_away(self) -> None:
        self.gaps += 1
        logger.warning("the broker was away: what was published to %s meanwhile is missed", ", ".join(self.patterns))

    async def _next(self) -> Event[T] | None:
        while not self._ended:
            while self._waiting:
                try:
                    return self._read(self._oldest())
                except DecodingError as error:
                    self._unreadable(error.message)
            self._arrived.clear()
            await self._arrived.wait()
        return None

    def _read(self, delivery: Delivery) -> Event[T]:
        if delivery.defect is not None:
            raise DecodingError(delivery.defect)
        envelope = decode(delivery.message, delivery.routing_key, self._limits)
        now = envelope.timestamp or clock.utc()
        return build_event(envelope, self._payloads, id=envelope.id or new_id(), now=now)
