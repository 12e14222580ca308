"""Put method, header and body frames of one channel together into messages."""

from __future__ import annotations

import logging
from collections.abc import Callable
from io import BytesIO
from struct import Struct
from typing import NamedTuple

from engine.brokers.rabbitmq.decode import read_properties, read_short, summary
from engine.brokers.rabbitmq.tap import Sink
from engine.model.message import Delivery, Message

log = logging.getLogger(__name__)

_index = Struct(">I").unpack_from
_u64 = Struct(">Q").unpack_from

CANCEL = 0x003C001E
RETURN = 0x003C0032
DELIVER = 0x003C003C
GET_OK = 0x003C0047
ACK = 0x003C0050
NACK = 0x003C0078
#: Basic.GetEmpty, passed on in place of a Basic.GetOk that was taken.
GET_EMPTY = b"\x00\x3c\x00\x48\x00"


def method_of(data: bytes, at: int) -> int:
    """Class and method of a method frame, as one number."""
    index: int = _index(data, at)[0]
    return index


def _ignored(_delivery: Delivery) -> None: ...


class DeliverySink(Sink):
    """Turns the deliveries of one consumer into `Delivery` values; the hot path of consuming."""

    def __init__(
        self, queue: str, generation: int, receive: Callable[[Delivery], None], ended: Callable[[bool], None]
    ) -> None:
        self._queue = queue
        self._generation = generation
        self._receive = receive
        self._ended = ended
        self.tag = 0
        self._redelivered = False
        self._exchange = ""
        self._key = ""
        self._message: Message | None = None
        self._missing = 0
        self._body: BytesIO | None = None  # hands its bytes over, where joining pieces would copy them
        self._defects: list[str] = []

    def mute(self) -> None:
        """Take the frames, and pass nothing on any more."""
        self._receive = _ignored

    def frame(self, kind: int, data: bytes, at: int, end: int) -> bytes | None:
        if kind == 3:
            message = self._message
            if message is None:
                return None
            if self._body is None and self._missing > end - at:
                self._body = _buffer(self._missing)
            self._missing -= end - at
            if self._body is not None:
                self._body.write(memoryview(data)[at:end])
                if self._missing > 0:
                    return None
                message.body = self._body.getvalue()
                self._body = None
            else:
                message.body = data[at:end]
        elif kind == 2:
            self._missing = _u64(data, at + 4)[0]
            self._body = None
            self._message = message = read_properties(data, at + 12, end, self._defects)
            if self._missing:
                return None
        else:
            return self._method(data, at, end)
        self._message = None
        defects = self._defects
        delivery = Delivery(
            self._queue,
            message,
            self.tag,
            self._generation,
            self._exchange,
            self._key,
            self._redelivered,
            summary(defects) if defects else None,
        )
        try:
            self._receive(delivery)
        except Exception:
            log.exception("the receiver of %s failed; the message stays out until the consumer ends", self._queue)
        return None

    def _method(self, data: bytes, at: int, end: int) -> bytes | None:
        index = _index(data, at)[0]
        if index != DELIVER:
            if index == CANCEL:
                self._ended(True)
            return super().frame(1, data, at, end)
        at += 5 + data[at + 4]  # past the consumer tag
        self.tag = _u64(data, at)[0]
        self._redelivered = data[at + 8] == 1
        at += 9
        stop = at + 1 + data[at]
        stop_key = stop + 1 + data[stop]
        self._defects = []
        try:
            self._exchange = data[at + 1 : stop].decode()
            self._key = data[stop + 1 : stop_key].decode()
        except UnicodeDecodeError:
            self._exchange, at = read_short(data, at, end, "exchange", self._defects)
            self._key, at = read_short(data, at, end, "routing key", self._defects)
        return None

    def closed(self) -> None:
        self._ended(False)

    def lost(self) -> None:
        self._ended(False)


def _buffer(size: int) -> BytesIO:
    """An empty buffer with room for a body of this size: one that grows would be copied as it does."""
    buffer = BytesIO()
    buffer.seek(size - 1)
    buffer.write(b"\0")
    buffer.seek(0)
    return buffer


class Returned(NamedTuple):
    """A publish that came back: where it was sent, its id and the broker's words."""

    exchange: str
    routing_key: str
    message_id: str | None
    reason: str


class PublishSink(Sink):
    """Hears confirms and returns of one publishing channel."""

    METHODS = frozenset((ACK, NACK, RETURN))

    def __init__(
        self,
        settled: Callable[[int, bool, bool], None],
        returned: Callable[[Returned], None],
        ended: Callable[[], None],
    ) -> None:
        self._settled = settled
        self._returned = returned
        self._ended = ended
        self._to: tuple[str, str, str] | None = None
        self._message: Message | None = None
        self._missing = 0

    def frame(self, kind: int, data: bytes, at: int, end: int) -> bytes | None:
        if kind == 1:
            index = _index(data, at)[0]
            if index in (ACK, NACK):
                self._settled(_u64(data, at + 4)[0], data[at + 12] & 1 == 1, index == ACK)
                return None
            if index != RETURN:
                return super().frame(1, data, at, end)
            reason, at = read_short(data, at + 6, end, "reason", [])
            exchange, at = read_short(data, at, end, "exchange", [])
            key, at = read_short(data, at, end, "routing key", [])
            self._to = (exchange, key, reason)
            return None
        if kind == 2:
            self._missing = _u64(data, at + 4)[0]
            self._message = read_properties(data, at + 12, end, [])
        else:
            self._missing -= end - at
        if self._missing <= 0 and self._to is not None and self._message is not None:
            exchange, key, reason = self._to
            self._returned(Returned(exchange, key, self._message.message_id, reason))
            self._to = self._message = None
        return None

    def closed(self) -> None:
        self._ended()

    def lost(self) -> None:
        self._ended()


class GetSink(Sink):
    """Keeps the content of a Basic.GetOk, and tells aiormq that the queue was empty.

    So that a message that aiormq cannot decode is got like any other. `tag` is 0 until one came.
    """

    def __init__(self) -> None:
        self.tag = 0
        self.message: Message | None = None
        self._missing = 0
        self._body = BytesIO()

    def frame(self, kind: int, data: bytes, at: int, end: int) -> bytes | None:
        if kind == 1:
            if _index(data, at)[0] != GET_OK:
                return super().frame(1, data, at, end)
            self.tag = _u64(data, at + 4)[0]
            return None
        if kind == 2:
            self._missing = _u64(data, at + 4)[0]
            self.message = read_properties(data, at + 12, end, [])
        else:
            self._missing -= end - at
            self._body.write(data[at:end])
        if self._missing > 0 or self.message is None:
            return None
        self.message.body = self._body.getvalue()
        self._body = BytesIO()
        return b"\x01" + data[at - 6 : at - 4] + b"\x00\x00\x00\x05" + GET_EMPTY + b"\xce"
