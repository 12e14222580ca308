"""Acks in groups: what one commit settled is acked with as few frames as the broker allows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from engine.brokers.base import Subscription
from engine.errors import BrokerError
from engine.model.message import Delivery
from engine.runtime import points

logger = logging.getLogger("warren.acks")


class Acker:
    """Collects what is to be acked and acks it, a group for each subscription."""

    def __init__(self) -> None:
        self._pending: dict[Subscription, list[Delivery]] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, subscription: Subscription, deliveries: Iterable[Delivery]) -> None:
        """Ack these soon. A delivery whose connection has gone is ignored by the broker port."""
        self._pending.setdefault(subscription, []).extend(deliveries)
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Ack until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            pending, self._pending = self._pending, {}
            points.reach("before-ack")
            for subscription, deliveries in pending.items():
                try:
                    await subscription.ack(deliveries)
                except BrokerError as error:
                    # Not acked is delivered again, and the record knows it is done.
                    logger.warning("acks failed, the messages will come again: %s", error.message)
            if not self._pending:
                self._idle.set()

    async def flushed(self) -> None:
        """Wait until all that was put is acked."""
        await self._idle.wait()
