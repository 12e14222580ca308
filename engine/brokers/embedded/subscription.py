"""A consumer on the loop's side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from engine.brokers.embedded import actions
from engine.brokers.embedded.session import Session
from engine.model.message import Delivery


class Desk(Protocol):
    """Takes work to the database thread: `tell` without waiting for it, `ask` for an answer."""

    def tell(self, work: Callable[[Session], Any], *, weight: int = 1) -> None: ...

    async def ask(self, work: Callable[[Session], Any]) -> Any: ...


class EmbeddedSubscription:
    """See `engine.brokers.base.Subscription`.

    Acks do not wait for their commit: one that is lost with the process is a redelivery.
    """

    def __init__(
        self,
        desk: Desk,
        number: int,
        receive: Callable[[Delivery], None],
        remade: Callable[[], None] = lambda: None,
    ) -> None:
        self.number = number
        #: Its own queue had gone, and is there again.
        self.remade = remade
        self._desk = desk
        self._receive = receive
        self._closed = False

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """From the broker: here they are."""
        if not self._closed:
            for delivery in deliveries:
                self._receive(delivery)

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Done with these."""
        if deliveries and not self._closed:
            tags = [delivery.tag for delivery in deliveries]
            self._desk.tell(partial(actions.ack, number=self.number, tags=tags), weight=len(tags))

    async def nack(self, deliveries: Sequence[Delivery], *, requeue: bool) -> None:
        """Return these to their places in the queue, or dead-letter them."""
        if deliveries and not self._closed:
            tags = [delivery.tag for delivery in deliveries]
            self._desk.tell(partial(actions.nack, number=self.number, tags=tags, requeue=requeue), weight=len(tags))

    async def cancel(self) -> None:
        """Take no more deliveries; those that are out can still be acked."""
        if not self._closed:
            await self._desk.ask(partial(actions.cancel, number=self.number))

    async def close(self) -> None:
        """Cancel, and give back what is not acked."""
        if not self._closed:
            self._closed = True
            await self._desk.ask(partial(actions.remove, number=self.number))
