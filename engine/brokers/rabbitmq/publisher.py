"""Publish with confirms, many in flight, each with its own outcome."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from engine.brokers.rabbitmq.calls import RESTART_HINT
from engine.brokers.rabbitmq.flight import (
    CHUNK_MESSAGES,
    Batch,
    Flight,
    blocked_error,
    missing_exchange,
)
from engine.brokers.rabbitmq.link import Link
from engine.errors import AccessRefused, BrokerError, BrokerUnavailable
from engine.model.message import Publication

#: Most messages of one call that are unconfirmed at a time.
WINDOW = 2048


class Publisher:
    """Publishes over one link; several calls at a time share its channel.

    `has_exchange` asks the broker, elsewhere, whether an exchange is there: publishing to a
    missing one closes the channel for all.
    """

    def __init__(self, link: Link, has_exchange: Callable[[str], Awaitable[bool]], *, timeout: float) -> None:
        self._link = link
        self._has_exchange = has_exchange
        self._timeout = timeout
        self._flight: Flight | None = None
        self._order = asyncio.Lock()
        self._opening = asyncio.Lock()
        self._known: set[str] = {""}
        #: Those for whose lack a channel was closed, until they are found.
        self._doubted: set[str] = set()
        #: How many of the next publishes go out one at a time, to find the one that closes channels.
        self._careful = 0

    async def publish(self, publications: Sequence[Publication]) -> list[BrokerError | None]:
        """Publish in order; per message None once confirmed, else why it was not."""
        batch = Batch(publications)
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._timeout
        todo = await self._with_exchange(batch, range(len(publications)))
        while todo or batch.out or batch.again:
            if batch.again:
                todo = sorted([*batch.again, *todo])
                batch.again = []
            if todo:
                try:
                    flight = await self._open(max(0.05, give_up - loop.time()))
                    if self._doubted:
                        todo = await self._with_exchange(batch, todo)
                    written = await self._write(flight, batch, todo)
                    if written:
                        todo = todo[written:]
                        give_up = loop.time() + self._timeout
                    elif loop.time() >= give_up:
                        raise BrokerUnavailable("RabbitMQ closes each channel that is opened.", hint=RESTART_HINT)
                except BrokerError as error:
                    if loop.time() >= give_up or isinstance(error, AccessRefused):
                        for index in todo:
                            batch.results[index] = error
                        todo = []
                    else:
                        await asyncio.sleep(0.05)
                    continue
            if not await batch.settle_to(WINDOW if todo else 0, self._timeout):
                self._give_up(batch, todo)
                break
        return batch.results

    def forget(self) -> None:
        """The connection changed: ask again which exchanges there are."""
        self._known = {""}

    async def _with_exchange(self, batch: Batch, indices: Sequence[int]) -> list[int]:
        """Those of the indices whose exchange is there; the others are settled."""
        publications = batch.publications
        strange = {publications[index].exchange for index in indices} - self._known
        missing = set()
        # where this gets no answer, the publish itself will tell
        with contextlib.suppress(TimeoutError, BrokerError):
            async with asyncio.timeout(self._timeout):
                for exchange in strange:
                    if await self._has_exchange(exchange):
                        self._known.add(exchange)
                        self._doubted.discard(exchange)
                    else:
                        missing.add(exchange)
        todo = []
        for index in indices:
            exchange = publications[index].exchange
            if exchange in missing:
                batch.results[index] = missing_exchange(exchange)
            else:
                todo.append(index)
        return todo

    async def _open(self, timeout: float) -> Flight:
        """The channel to publish on, opened if need be."""
        if self._flight is not None and self._flight.is_open:
            return self._flight
        async with self._opening:
            old = self._flight
            if old is not None:
                if old.is_open:
                    return old
                if old.lost_exchange is not None:
                    self._known.discard(old.lost_exchange)
                    self._doubted.add(old.lost_exchange)
                self._careful = max(self._careful, old.suspects)
                self._flight = None
            line = await self._link.ready(timeout)
            self._flight = Flight(await line.channel(timeout, confirms=True))
            return self._flight

    async def _write(self, flight: Flight, batch: Batch, todo: list[int]) -> int:
        """Write the next chunk; how many of `todo` it took."""
        async with self._order:
            if not flight.is_open:
                return 0
            careful = self._careful > 0
            payload, count = flight.load(batch, todo, 1 if careful else CHUNK_MESSAGES)
            if payload:
                try:
                    await flight.channel.write(payload, self._timeout)
                except BrokerUnavailable:
                    flight.ended()  # the numbers are out of step now
                    await flight.channel.close()
                    return count
            if careful:
                self._careful -= 1
                await batch.settle_to(0, self._timeout)
            return count

    def _give_up(self, batch: Batch, todo: list[int]) -> None:
        """Nothing came back for the whole time-out."""
        line = self._link.line
        error: BrokerError = BrokerUnavailable(
            f"RabbitMQ confirmed nothing for {self._timeout:g} s; the message may have arrived.",
            hint="Does each quorum queue have a majority of its members up, and the broker no alarm?",
        )
        if line is not None and line.tap.blocked:
            error = blocked_error(line.tap.blocked)
        if self._flight is not None:
            self._flight.forsake(batch, error)
        for index in todo:
            batch.results[index] = error
