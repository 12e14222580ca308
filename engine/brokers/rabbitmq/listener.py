"""Hear what is published for as long as the connection lasts: a queue of its own, that nobody else sees."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from engine.brokers.rabbitmq.calls import call
from engine.brokers.rabbitmq.content import DeliverySink
from engine.brokers.rabbitmq.link import Channel
from engine.brokers.rabbitmq.subscription import RabbitSubscription, unexpected
from engine.model.message import Delivery


class RabbitListener(RabbitSubscription):
    """A consumer of an exclusive queue, which is made anew, with its bindings, whenever it was lost."""

    def __init__(
        self, *arguments: Any, exchange: str, patterns: Sequence[str], missed: Callable[[], None], **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._exchange = exchange
        self._patterns = patterns
        self._missed = missed
        self._made = False

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Nothing: what it delivers is gone from the broker."""

    async def nack(self, deliveries: Sequence[Delivery], *, requeue: bool) -> None:
        """Nothing, as with an ack."""

    async def _consume(self, channel: Channel, doing: str) -> str:
        # A name of its own each time: the broker may not yet know that the connection before has gone.
        amqp, queue = channel.amqp, f"{self.queue}.{uuid.uuid4().hex}"
        await call(doing, amqp.queue_declare(queue, exclusive=True, auto_delete=True), self._timeout)
        for pattern in self._patterns:
            await call(doing, amqp.queue_bind(queue, self._exchange, pattern), self._timeout)
        answer = await call(doing, amqp.basic_consume(queue, unexpected, no_ack=True, exclusive=True), self._timeout)
        if self._made:
            self._missed()
        self._made = True
        return answer.consumer_tag or ""

    async def _renewal(self, channel: Channel, ended: asyncio.Future[bool], sink: DeliverySink) -> bool:
        """Never: nobody else can delete an exclusive queue, and to leave it would."""
        await asyncio.wait((ended,))
        return False
