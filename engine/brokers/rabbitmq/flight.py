"""Which publishes are out on one channel, and what the broker said of each."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from engine.brokers.rabbitmq.calls import RESTART_HINT, closed_error
from engine.brokers.rabbitmq.content import PublishSink, Returned
from engine.brokers.rabbitmq.encode import publication_frames
from engine.brokers.rabbitmq.link import Channel
from engine.errors import (
    AccessRefused,
    BrokerError,
    BrokerUnavailable,
    ExchangeMissing,
    PublishRefused,
    Unroutable,
)
from engine.model.message import Publication

#: Most messages and about the most bytes that are written at once.
CHUNK_MESSAGES = 256
CHUNK_BYTES = 512 * 1024

_MISSING_EXCHANGE = re.compile(r"exchange '(?P<name>.*)' in vhost", re.DOTALL)
_TOO_LARGE = re.compile(r"larger than (?:configured )?max size (?P<size>\d+)")


class Batch:
    """The publications of one call, their results, and how many are out."""

    __slots__ = ("again", "out", "publications", "results", "waiter", "wake_at")

    def __init__(self, publications: Sequence[Publication]) -> None:
        self.publications = publications
        self.results: list[BrokerError | None] = [None] * len(publications)
        self.out = 0
        #: Indices that the broker certainly did not take, to be sent again.
        self.again: list[int] = []
        self.wake_at = 0
        self.waiter: asyncio.Future[None] | None = None

    def settle(self, index: int, error: BrokerError | None) -> None:
        self.results[index] = error
        self.landed()

    def landed(self) -> None:
        """One of those that were out is no more."""
        self.out -= 1
        if self.out <= self.wake_at and self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def settle_to(self, level: int, timeout: float) -> bool:
        """Wait until at most `level` are out; False when none came back for `timeout` seconds."""
        while self.out > level:
            before = self.out
            self.wake_at = level
            self.waiter = asyncio.get_running_loop().create_future()
            await asyncio.wait((self.waiter,), timeout=timeout)
            if not self.waiter.done() and self.out == before:
                return False
        return True


class Flight:
    """The publishes in flight on one channel, by their confirm number."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.sink = PublishSink(self.settled, self.returned, self.ended)
        self.is_open = True
        #: How many were out when the broker closed the channel for none that could be named.
        self.suspects = 0
        self._out: dict[int, tuple[Batch, int]] = {}
        self._next = 1
        self._low = 1
        self._returned_to = 1
        self._returned: dict[int, str] = {}
        channel.attach(self.sink)
        if not channel.line.is_up:
            self.ended()

    @property
    def lost_exchange(self) -> str | None:
        """The exchange for whose lack the channel was closed."""
        reason = self.sink.reason
        found = _MISSING_EXCHANGE.search(reason.text) if reason is not None and reason.code in (403, 404) else None
        return found["name"] if found else None

    def load(self, batch: Batch, indices: Sequence[int], limit: int) -> tuple[bytes, int]:
        """Number the first publications of `indices` and make their frames; how many were taken.

        What cannot be encoded is settled at once. From here on they are in flight.
        """
        parts: list[bytes] = []
        size = count = 0
        number, frame_max = self.channel.number, self.channel.line.frame_max
        publications, out, tag = batch.publications, self._out, self._next
        for index in indices[:limit]:
            count += 1
            try:
                size += publication_frames(publications[index], number, frame_max, parts)
            except PublishRefused as error:
                batch.results[index] = error
                continue
            out[tag] = (batch, index)
            tag += 1
            batch.out += 1
            if size > CHUNK_BYTES:
                break
        self._next = tag
        return b"".join(parts), count

    def settled(self, tag: int, multiple: bool, ok: bool) -> None:
        if not multiple:
            self._settle(tag, ok)
            return
        for each in range(self._low, tag + 1):
            self._settle(each, ok)
        self._low = tag + 1

    def _settle(self, tag: int, ok: bool) -> None:
        entry = self._out.pop(tag, None)
        if entry is None:
            return
        batch, index = entry
        error: BrokerError | None = None
        if self._returned and tag in self._returned:
            error = _unroutable(batch.publications[index], self._returned.pop(tag))
        elif not ok:
            error = _refused(batch.publications[index])
        batch.settle(index, error)

    def returned(self, returned: Returned) -> None:
        """Find which publish came back: returns come in the order of the publishes.

        Equal ones (exchange, key and id) fare alike, so the first of them that is left is meant.
        """
        for tag in range(self._returned_to, self._next):
            entry = self._out.get(tag)
            if entry is None:
                continue
            publication = entry[0].publications[entry[1]]
            if (
                publication.mandatory
                and publication.routing_key == returned.routing_key
                and publication.exchange == returned.exchange
                and publication.message.message_id == returned.message_id
            ):
                self._returned[tag] = returned.reason
                self._returned_to = tag + 1
                return

    def ended(self) -> None:
        """The channel or the connection is gone: settle what is out, truthfully."""
        if not self.is_open:
            return
        self.is_open = False
        out, self._out = self._out, {}
        culprit, error = self._culprit(out)
        if error is None and self.sink.reason is not None:
            self.suspects = len(out)
        exchange = self.lost_exchange  # what else is for it fares alike
        for tag, (batch, index) in out.items():
            if culprit is None or tag < culprit:
                batch.settle(index, self._unknown())
            elif tag == culprit or batch.publications[index].exchange == exchange:
                batch.settle(index, error)
            else:  # the broker reads nothing after the one for which it closes a channel
                batch.again.append(index)
                batch.landed()

    def forsake(self, batch: Batch, error: BrokerError) -> None:
        """Nobody waits for this batch any more: what is out of it ends with `error`."""
        nobody = Batch(batch.publications)
        for tag, (owner, index) in self._out.items():
            if owner is batch:
                self._out[tag] = (nobody, index)
                nobody.out += 1
                batch.settle(index, error)

    def _culprit(self, out: dict[int, tuple[Batch, int]]) -> tuple[int | None, BrokerError | None]:
        """For which publish the broker closed the channel."""
        reason = self.sink.reason
        if reason is None:
            return None, None
        exchange = self.lost_exchange
        too_large = _TOO_LARGE.search(reason.text)
        for tag, (batch, index) in out.items():
            publication = batch.publications[index]
            if exchange is not None and publication.exchange == exchange:
                if reason.code == 403:
                    return tag, closed_error(reason, f"publishing to {exchange!r}")
                return tag, missing_exchange(exchange)
            if too_large is not None and len(publication.message.body) > int(too_large["size"]):
                return tag, PublishRefused(
                    f"The message has {len(publication.message.body)} bytes; RabbitMQ takes {too_large['size']}.",
                    hint="Send a reference to the data, or raise max_message_size on the broker.",
                    lasting=True,
                )
        if len(out) == 1:
            error: BrokerError = closed_error(reason, "publishing")
            if not isinstance(error, AccessRefused):
                error = PublishRefused(f"RabbitMQ refused the message: {reason.text}.", hint="Change the message.")
            return next(iter(out)), error
        return None, None

    def _unknown(self) -> BrokerError:
        blocked = self.channel.line.tap.blocked
        if blocked:
            return blocked_error(blocked)
        return BrokerUnavailable(
            "The channel was lost before RabbitMQ confirmed the message; it may have arrived.", hint=RESTART_HINT
        )


def missing_exchange(name: str) -> ExchangeMissing:
    """Nobody declared the exchange."""
    return ExchangeMissing(
        f"The exchange {name!r} is not on the broker.",
        hint="Start a worker, which declares it, or run `warren topology apply`.",
    )


def blocked_error(why: str) -> BrokerUnavailable:
    """The broker reads nothing from publishers now."""
    return BrokerUnavailable(
        f"RabbitMQ takes no messages now: {why}.",
        hint="It has a memory or disk alarm (rabbitmq-diagnostics alarms); publishing goes on when that is over.",
    )


def _unroutable(publication: Publication, reason: str) -> Unroutable:
    where = f"exchange {publication.exchange!r}" if publication.exchange else "default exchange"
    return Unroutable(
        f"No queue takes {publication.routing_key!r} from the {where} ({reason}).",
        hint="Is the worker whose queue is meant set up? `warren topology show` lists queues and bindings.",
    )


def _refused(publication: Publication) -> PublishRefused:
    return PublishRefused(
        f"RabbitMQ refused a message for {publication.routing_key!r}: a queue that takes it is full.",
        hint="It takes messages again when its worker has caught up.",
    )
