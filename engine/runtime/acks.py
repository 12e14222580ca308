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


#: The largest group that acks wait for, and for how many seconds they do.
GROUP, PATIENCE = 64, 0.005


def ack_group(prefetch: int) -> int:
    """How many acks of one consumer are worth a frame: so few that the broker always has room for more messages."""
    return max(1, min(prefetch // 8, GROUP))


class Acker:
    """Collects what is to be acked and acks it, a group for each subscription."""

    def __init__(self) -> None:
        self._pending: dict[Subscription, list[Delivery]] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, subscription: Subscription, deliveries: Iterable[Delivery], *, group: int = 1) -> None:
        """Ack these soon: at once where `group` acks have gathered. A delivery whose connection has gone is ignored
        by the broker port."""
        pending = self._pending.setdefault(subscription, [])
        pending.extend(deliveries)
        self._idle.clear()
        if len(pending) >= group:
            self._wake.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._wake.set)

    async def run(self) -> None:
        """Ack until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
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
        """Ack what waits, and wait until it is done."""
        if self._pending:
            self._wake.set()
        await self._idle.wait()
