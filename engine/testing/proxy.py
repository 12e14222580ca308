"""A TCP proxy that breaks the network on purpose, for tests of what stands behind it.

    async with Proxy("127.0.0.1", 5672) as proxy:
        broker = open_broker(f"amqp://guest:guest@127.0.0.1:{proxy.port}/", app="shop")
        ...
        proxy.black_hole()     # bytes vanish, both sides see an open connection
        proxy.mute()           # only what the client says vanishes (acks, say)
        proxy.deafen()         # only what the target says vanishes (confirms, say)
        proxy.pass_on()        # new connections work again; old ones stay dead
        proxy.close_all()      # connections end, new ones are taken
        proxy.refuse()         # connections end, new ones are refused

Nothing of it knows AMQP; it serves for a PostgreSQL too.
"""

from __future__ import annotations

import asyncio
import contextlib
from enum import Enum
from types import TracebackType

#: Bytes read at a time.
PIECE = 65536


class _Mode(Enum):
    PASS = "pass"  # noqa: S105 - a word, no password
    HOLD = "hold"
    DROP = "drop"
    MUTE = "mute"
    DEAF = "deaf"


class Proxy:
    """Listens on a free port of 127.0.0.1 and passes bytes to one target, as told.

    Use it as an async context manager, or call `start` and `stop`.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._mode = _Mode.PASS
        self.port = 0
        #: Connections that came in since the start.
        self.accepted = 0

    async def __aenter__(self) -> Proxy:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; `port` is the same again after a `refuse`."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Take no connections, and end those that are."""
        await self.refuse()
        while self._pairs:
            await asyncio.wait([pair.done for pair in self._pairs])

    def hold(self) -> None:
        """Keep all bytes back until `pass_on`: a network that stalls."""
        self._set(_Mode.HOLD)

    def black_hole(self) -> None:
        """Throw all bytes away, on connections to come too; nobody is told."""
        self._set(_Mode.DROP)

    def mute(self) -> None:
        """Throw away what clients say; they go on hearing the target."""
        self._set(_Mode.MUTE)

    def deafen(self) -> None:
        """Throw away what the target says; it goes on hearing its clients."""
        self._set(_Mode.DEAF)

    def pass_on(self) -> None:
        """Pass bytes again. What was held goes out; a connection that lost bytes passes none."""
        self._set(_Mode.PASS)

    def close_all(self) -> int:
        """End all connections at once; how many there were. New ones are taken."""
        pairs = list(self._pairs)
        for pair in pairs:
            pair.abort()
        return len(pairs)

    async def refuse(self) -> None:
        """End all connections and refuse new ones until `start`."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.close_all()
        if server is not None:
            await server.wait_closed()

    def _set(self, mode: _Mode) -> None:
        self._mode = mode
        for pair in self._pairs:
            pair.set(mode)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        pair = _Pair(writer, self._mode)
        self._pairs.add(pair)
        try:
            with contextlib.suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(*self._target)
                await pair.run(reader, far_reader, far_writer)
        finally:
            self._pairs.discard(pair)
            pair.abort()
            pair.done.set_result(None)


class _Pair:
    """A connection and its continuation to the target."""

    def __init__(self, near: asyncio.StreamWriter, mode: _Mode) -> None:
        self._near = near
        self._far: asyncio.StreamWriter | None = None
        self._open = asyncio.Event()
        self._mode = mode
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.set(mode)

    def set(self, mode: _Mode) -> None:
        self._mode = mode
        if mode is _Mode.HOLD:
            self._open.clear()
        else:
            self._open.set()

    def abort(self) -> None:
        for writer in (self._near, self._far):
            if writer is not None:
                writer.transport.abort()
        self._open.set()

    async def run(self, near: asyncio.StreamReader, far: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._far = writer
        ways = {
            asyncio.ensure_future(self._pump(near, writer, (_Mode.DROP, _Mode.MUTE))),
            asyncio.ensure_future(self._pump(far, self._near, (_Mode.DROP, _Mode.DEAF))),
        }
        ended, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        if all(way.result() for way in ended):  # a black hole does not tell that the side behind it has gone
            await asyncio.wait(ways)
        self.abort()
        await asyncio.wait(ways)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, lossy: tuple[_Mode, ...]) -> bool:
        """Pass bytes until the source ends; True when some were thrown away."""
        lost = False  # a stream with a hole in it is never taken up again
        with contextlib.suppress(OSError):
            while data := await source.read(PIECE):
                await self._open.wait()
                lost = lost or self._mode in lossy
                if not lost:
                    target.write(data)
                    await target.drain()
        return lost
