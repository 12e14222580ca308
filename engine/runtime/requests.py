"""Requests that wait for their replies: thousands at a time, over one way.

A way that is lost fails all that waited on it, at once; the next request opens another. A reply that nobody waits for
any more is dropped here, or by the broker.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import ContextVar

from engine.brokers.base import Broker, Replies
from engine.errors import BrokerError, BrokerUnavailable, RequestLost
from engine.model.message import Delivery, Message, Publication

logger = logging.getLogger("warren.requests")

#: For tests: told when a request that this task makes was sent, or was not.
on_sent: ContextVar[Callable[[], None] | None] = ContextVar("warren_on_sent", default=None)

_HINT = "It may have been carried out or not. A query can be asked again; so can a command that is made for it."


class Requests:
    """Sends requests and waits for their replies."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._way: Replies | None = None
        self._opening = asyncio.Lock()
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    async def ask(self, publication: Publication, timeout: float) -> Message:
        """Send a request, and wait for its reply, which repeats its `correlation_id`.

        Raises `TimeoutError` after so many seconds, `RequestLost` when the connection went meanwhile, and what the
        broker answered when it did not take the request.
        """
        key = str(publication.message.correlation_id)
        reply: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                way = self._way or await self._open()
                self._waiting[key] = reply
                # The reply may well be here before the confirm.
                task = asyncio.create_task(self._send(way, publication, reply))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
                return await reply
        finally:
            self._waiting.pop(key, None)

    async def close(self) -> None:
        """Give up what still waits."""
        way, self._way = self._way, None
        self._lost(BrokerUnavailable("The engine was closed."))
        for task in list(self._sending):
            task.cancel()
        if self._sending:
            await asyncio.wait(self._sending)
        if way is not None:
            await way.close()

    async def _open(self) -> Replies:
        async with self._opening:
            if self._way is None:
                self._way = await self._broker.replies(self._receive, self._lost)
            return self._way

    async def _send(self, way: Replies, publication: Publication, reply: asyncio.Future[Message]) -> None:
        try:
            (answer,) = await way.publish([publication])
        except BrokerError as error:
            answer = error
        if (sent := on_sent.get()) is not None:
            sent()
        if answer is not None and not reply.done():
            reply.set_exception(_lost(answer) if isinstance(answer, BrokerUnavailable) else answer)

    def _receive(self, delivery: Delivery) -> None:
        reply = self._waiting.get(delivery.message.correlation_id or "")
        if reply is not None and not reply.done():
            reply.set_result(delivery.message)
        else:
            logger.debug("a reply came too late: %s", delivery.message.correlation_id)

    def _lost(self, error: BrokerError) -> None:
        self._way = None
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(_lost(error))


def _lost(error: BrokerError) -> RequestLost:
    return RequestLost(f"The request got no reply: {error.message}", hint=_HINT)
