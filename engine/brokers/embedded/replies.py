"""Requests through a broker file: a queue of the connection's own takes their replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from engine.brokers.embedded.subscription import EmbeddedSubscription
from engine.errors import BrokerError, BrokerUnavailable
from engine.model.message import Publication


class Out(Protocol):
    """Whatever publishes."""

    async def publish(self, publications: Sequence[Publication]) -> list[BrokerError | None]: ...


class EmbeddedReplies:
    """See `engine.brokers.base.Replies`. `name` is the queue that takes the replies."""

    subscription: EmbeddedSubscription

    def __init__(self, out: Out, name: str, lost: Callable[[BrokerError], None]) -> None:
        self._out = out
        self._name = name
        self._lost = lost
        self._is_over = False

    async def publish(self, publications: Sequence[Publication]) -> list[BrokerError | None]:
        """Publish in order; per message None once confirmed, else why it was not."""
        if self._is_over:
            raise BrokerUnavailable("The way for replies was lost.")
        return await self._out.publish(
            [replace(each, message=replace(each.message, reply_to=self._name)) for each in publications]
        )

    async def close(self) -> None:
        """Take no more replies."""
        self._is_over = True
        await self.subscription.close()

    def over(self) -> None:
        """The file was replaced, or others took this connection for dead: what it asked is forgotten."""
        if not self._is_over:
            self._is_over = True
            self._lost(BrokerUnavailable("The broker file was replaced while replies were awaited."))
