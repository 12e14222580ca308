"""Take the frames of the hot path off a connection before aiormq reads them.

aiormq makes the connection, opens channels, sends heartbeats and answers. Deliveries, returns
and confirms are different: there each frame costs aiormq several tasks, and one header that it
cannot decode kills the whole connection. So a tap sits between the socket and aiormq: frames
for a channel with a sink go to that sink, synchronously and in order; all others pass
unchanged. It is installed through aiormq's `TransportFactory`; nothing is patched.
"""

from __future__ import annotations

import asyncio
import ssl
from struct import Struct
from typing import Any, NamedTuple

from aiormq import TransportFactory
from yarl import URL

_frame = Struct(">BHI").unpack_from
_index = Struct(">HH").unpack_from
_code = Struct(">H").unpack_from

HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"
METHOD = 1
#: (class, method) of the frames that a tap looks into.
CONNECTION_CLOSE = (10, 50)
CONNECTION_BLOCKED = (10, 60)
CONNECTION_UNBLOCKED = (10, 61)
CHANNEL_CLOSE = (20, 40)


class CloseReason(NamedTuple):
    """Why the broker closed a channel or a connection: AMQP's code and the broker's words."""

    code: int
    text: str


class Sink:
    """Receives the frames of one channel. Its methods never raise for what a broker sends."""

    #: Set when the broker closes the channel.
    reason: CloseReason | None = None

    def frame(self, kind: int, data: bytes, at: int, end: int) -> bytes | None:
        """Take the frame with the payload `data[at:end]`.

        Answers None when it was taken, else the frame that is passed on to aiormq.
        """
        return data[at - 7 : end + 1]

    def closed(self) -> None:
        """The broker closed the channel, for `reason`."""

    def lost(self) -> None:
        """The connection is gone."""


class Tap(asyncio.StreamReaderProtocol):
    """The protocol of one connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.reader = asyncio.StreamReader(loop=loop)
        super().__init__(self.reader, loop=loop)
        self.sinks: dict[int, Sink] = {}
        self.reason: CloseReason | None = None
        #: Why the broker takes no publishes now (memory or disk alarm), in its words.
        self.blocked: str | None = None
        #: Done when the connection is lost.
        self.lost: asyncio.Future[None] = loop.create_future()
        self.heard_at = loop.time()
        self._time = loop.time
        self._passed_at = self.heard_at
        self._rest = b""
        self._broken = False
        self._socket: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self.lost.done():
            self.lost.set_result(None)
            for sink in list(self.sinks.values()):
                sink.lost()

    def abort(self) -> None:
        """Drop the connection at once, without a goodbye."""
        if isinstance(self._socket, asyncio.WriteTransport):
            self._socket.abort()

    def data_received(self, data: bytes) -> None:
        self.heard_at = now = self._time()
        if self._broken:
            super().data_received(data)
            return
        if self._rest:
            data = self._rest + data
        passed: list[bytes] = []
        sinks = self.sinks
        at, size = 0, len(data)
        while size - at >= 8:
            kind, channel, length = _frame(data, at)
            end = at + 7 + length
            if kind > 8 or (end < size and data[end] != 0xCE):  # no AMQP frame: aiormq says what is wrong
                self._broken = True
                break
            if end >= size:
                break
            sink = sinks.get(channel)
            if sink is not None:
                kept = sink.frame(kind, data, at + 7, end)
                if kept is not None:
                    passed.append(kept)
                    if kind == METHOD and _index(data, at + 7) == CHANNEL_CLOSE:
                        self._channel_closed(channel, sink, data, at + 11)
            else:
                if channel == 0 and kind == METHOD:
                    self._connection_method(data, at + 7)
                passed.append(data[at : end + 1])
            at = end + 1
        if self._broken:
            passed.append(data[at:])
            self._rest = b""
        else:
            self._rest = data[at:]
        if passed:
            self._passed_at = now
            super().data_received(b"".join(passed))
        elif now - self._passed_at > 1.0:
            # a busy broker sends no heartbeats: tell aiormq that the connection lives
            self._passed_at = now
            super().data_received(HEARTBEAT)

    def _channel_closed(self, channel: int, sink: Sink, data: bytes, at: int) -> None:
        del self.sinks[channel]
        sink.reason = _reason(data, at)
        sink.closed()

    def _connection_method(self, data: bytes, at: int) -> None:
        method = _index(data, at)
        if method == CONNECTION_CLOSE:
            self.reason = _reason(data, at + 4)
        elif method == CONNECTION_BLOCKED:
            self.blocked = data[at + 5 : at + 5 + data[at + 4]].decode(errors="replace")
        elif method == CONNECTION_UNBLOCKED:
            self.blocked = None


class TapFactory(TransportFactory):
    """Opens the socket of one connection with a tap on it."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.context = context
        self.tap: Tap | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        tap = Tap(loop)
        transport, _ = await loop.create_connection(lambda: tap, url.host or "", url.port or 0, ssl=self.context)
        self.tap = tap  # only now: a tap says that somebody took the connection
        return tap.reader, asyncio.StreamWriter(transport, tap, tap.reader, loop)


def _reason(data: bytes, at: int) -> CloseReason:
    text = data[at + 3 : at + 3 + data[at + 2]]
    return CloseReason(_code(data, at)[0], text.decode(errors="replace"))
