"""Keep one connection: connect once on request, then reconnect with backoff and jitter."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Callable

import aio_pika
from aio_pika.abc import AbstractChannel as PikaChannel
from aiormq.abc import AbstractChannel, AbstractConnection, ChannelFrame
from aiormq.exceptions import AMQPError, AuthenticationError, ProbableAuthenticationError
from yarl import URL

from engine.brokers.rabbitmq.calls import RESTART_HINT, call, closed_error, retry_delay, words
from engine.brokers.rabbitmq.options import Options
from engine.brokers.rabbitmq.tap import Sink, Tap, TapFactory
from engine.errors import AccessRefused, BrokerError, BrokerUnavailable, WarrenError

#: Seconds that a goodbye may take.
CLOSE_TIMEOUT = 3.0


class _Connection(aio_pika.Connection):
    """A plain connection of aio-pika whose socket has a tap on it."""

    def __init__(self, url: URL, factory: TapFactory) -> None:
        super().__init__(url)
        self.kwargs["transport_factory"] = factory


class Channel:
    """An open channel, and what writes raw frames to it."""

    def __init__(self, line: Line, channel: PikaChannel, amqp: AbstractChannel) -> None:
        self.line = line
        self.amqp = amqp
        self.number: int = amqp.number
        self._pika = channel
        self._sink: Sink | None = None
        self._leaving = False

    @property
    def is_open(self) -> bool:
        """Whether frames may be written. Those behind an end, of either side, would cost the whole connection."""
        ended = self._leaving or self.amqp.is_closed or (self._sink is not None and self._sink.reason is not None)
        return self.line.is_up and not ended

    @property
    def heard(self) -> bool:
        """Whether its sink still hears it: when a channel is closed, its number may soon be another one's."""
        return self._sink is not None and self.line.tap.sinks.get(self.number) is self._sink

    def attach(self, sink: Sink) -> None:
        """Let the sink hear this channel's frames from now on."""
        self._sink = self.line.tap.sinks[self.number] = sink

    async def write(self, payload: bytes, timeout: float) -> None:
        """Hand raw frames to the connection's writer; raises `BrokerUnavailable`, also when it is closed by now."""
        if not self.is_open:
            raise BrokerUnavailable("The channel to RabbitMQ was closed.", hint=RESTART_HINT)
        frame = ChannelFrame(payload=payload, should_close=False)
        queue = self.line.amqp.write_queue
        if not queue.full():
            queue.put_nowait(frame)
            return
        await call("writing", queue.put(frame), timeout)

    async def close(self) -> None:
        """Close it, as far as it is still open; never raises."""
        was_open, self._leaving = self.is_open, True
        if self.heard:
            del self.line.tap.sinks[self.number]
        if was_open:
            with contextlib.suppress(Exception):
                await call("closing a channel", self._pika.close(), CLOSE_TIMEOUT)


class Line:
    """One live connection."""

    def __init__(self, connection: aio_pika.abc.AbstractConnection, amqp: AbstractConnection, tap: Tap) -> None:
        self.connection = connection
        self.amqp = amqp
        self.tap = tap
        tune = amqp.connection_tune
        self.frame_max: int = tune.frame_max or 131072
        self.channel_max: int = tune.channel_max or 65535
        given = (amqp.server_properties or {}).get("version", "")
        self.version = version = given.decode(errors="replace") if isinstance(given, bytes) else str(given)
        #: Whether RabbitMQ tells a consumer whenever its queue is deleted. Before 4.0 it keeps silent
        #: when one of the same name is made at once, and the consumer gets nothing (seen on 3.10.8).
        self.tells_deletions = version.split(".", 1)[0] not in ("1", "2", "3")

    @property
    def is_up(self) -> bool:
        return not self.tap.lost.done()

    async def channel(self, timeout: float, *, confirms: bool = False) -> Channel:
        """Open a channel; raises `BrokerUnavailable`."""
        if len(self.amqp.channels) >= self.channel_max - 1:
            raise BrokerUnavailable(
                f"The connection has {self.channel_max} channels, as many as RabbitMQ allows.",
                hint="Run fewer queues in a process, or raise channel_max on the broker.",
            )
        try:
            channel = self.connection.channel(publisher_confirms=confirms)  # refused once the connection is closed
            await call("opening a channel", channel.initialize(), timeout)
            return Channel(self, channel, await channel.get_underlay_channel())
        except (AMQPError, RuntimeError, OSError) as error:
            raise BrokerUnavailable(f"RabbitMQ opened no channel: {error}.", hint=RESTART_HINT) from None

    async def close(self) -> None:
        """Say goodbye if that is possible, and let go of the socket; never raises."""
        with contextlib.suppress(Exception):
            await call("closing the connection", self.connection.close(), CLOSE_TIMEOUT)
        self.tap.abort()


class Link:
    """A connection for one purpose, kept alive from `open` to `close`."""

    def __init__(
        self,
        options: Options,
        name: str,
        *,
        lost: Callable[[Link, BrokerError], None],
        restored: Callable[[Link], None],
    ) -> None:
        self.options = options
        self.name = name
        self.line: Line | None = None
        self._lost = lost
        self._restored = restored
        self._context: ssl.SSLContext | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._error: BrokerError | None = None

    async def open(self) -> None:
        """Connect once, then keep it; raises `BrokerUnavailable`, `AccessRefused`, `ConfigurationError`."""
        if self._keeper is None:
            self.line = await self._connect()
            self._up.set()
            self._keeper = asyncio.create_task(self._keep(), name=f"warren link {self.name}")

    def start(self) -> None:
        """Connect in the background, and keep it."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name=f"warren link {self.name}")

    async def ready(self, timeout: float) -> Line:
        """The live connection, waiting for it if need be; raises `BrokerUnavailable`."""
        if self.line is not None and self.line.is_up:
            return self.line
        if self._keeper is None:
            raise BrokerUnavailable("The broker is closed.", hint="Call connect() first.")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while True:
                    await self._up.wait()
                    if self.line is not None and self.line.is_up:
                        return self.line
                    self._up.clear()
        if self._error is not None:
            raise type(self._error)(self._error.message, hint=self._error.hint)
        raise BrokerUnavailable(f"There was no connection to {self.options} for {timeout:g} s.", hint=RESTART_HINT)

    async def close(self) -> None:
        """End it for good."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait((keeper,))
        line, self.line = self.line, None
        if line is not None:
            await line.close()

    async def _keep(self) -> None:
        while True:
            if self.line is not None:
                error = await self._watch(self.line)
                self._up.clear()
                self._error = error
                self._lost(self, error)
                line, self.line = self.line, None
                await line.close()
            failures = 0
            while self.line is None:
                if failures or self._error is not None:
                    await asyncio.sleep(retry_delay(failures))
                try:
                    self.line = await self._connect()
                except WarrenError as error:
                    failures += 1
                    lost = (
                        error if isinstance(error, BrokerError) else BrokerUnavailable(error.message, hint=error.hint)
                    )
                    self._error = lost
                    self._lost(self, lost)
            self._error = None
            self._up.set()
            self._restored(self)

    async def _watch(self, line: Line) -> BrokerError:
        """Wait until the connection is lost, and end it when it is silent for too long."""
        tap = line.tap
        limit = 2.0 * self.options.heartbeat + 2.0
        loop = asyncio.get_running_loop()
        while not tap.lost.done():
            await asyncio.wait((tap.lost,), timeout=min(1.0, self.options.heartbeat / 2))
            if not tap.lost.done() and loop.time() - tap.heard_at > limit:
                tap.abort()
                await asyncio.wait((tap.lost,), timeout=CLOSE_TIMEOUT)
                return BrokerUnavailable(
                    f"{self.options} was silent for {limit:g} s; the connection was given up.", hint=RESTART_HINT
                )
        if tap.reason is not None:
            return BrokerUnavailable(f"RabbitMQ closed the connection: {words(tap.reason.text)}.", hint=RESTART_HINT)
        return BrokerUnavailable(f"The connection to {self.options} was lost.", hint=RESTART_HINT)

    async def _connect(self) -> Line:
        options = self.options
        if options.tls and self._context is None:
            self._context = await asyncio.to_thread(options.ssl_context)
        factory = TapFactory(self._context)
        connection = _Connection(options.connect_url(self.name), factory)
        try:
            await call(f"connecting to {options}", connection.connect(), options.connection_timeout)
        except Exception as error:
            if factory.tap is not None:
                factory.tap.abort()
            await connection.close()
            origin = error.__cause__ if isinstance(error, BrokerUnavailable) else error
            if origin is None:  # it took too long
                raise BrokerUnavailable(error.args[0], hint=_REACH_HINT) from None
            raise self._refused(origin, factory.tap) from None
        transport, tap = connection.transport, factory.tap
        if transport is None or tap is None or tap.lost.done():
            raise BrokerUnavailable(f"The connection to {options} was lost at once.", hint=_REACH_HINT)
        return Line(connection, transport.connection, tap)

    def _refused(self, error: BaseException, tap: Tap | None) -> BrokerError:
        """What a failed connect means."""
        options = self.options
        reason = tap.reason if tap is not None else None
        if isinstance(error, ProbableAuthenticationError | AuthenticationError) or (reason and reason.code == 403):
            return AccessRefused(
                f"RabbitMQ at {options.host}:{options.port} refuses the user {options.user!r}.",
                hint="Check user and password in the broker URL; guest may log in from its own host only.",
            )
        if reason is not None and reason.code == 530:
            return AccessRefused(
                f"RabbitMQ at {options.host}:{options.port} does not open the virtual host {options.vhost!r}: "
                f"{words(reason.text)}.",
                hint="rabbitmqctl add_vhost makes one, rabbitmqctl set_permissions opens it to a user.",
            )
        if reason is not None:
            return closed_error(reason, f"connecting to {options}")
        if tap is None:
            return BrokerUnavailable(f"{options} cannot be reached: {_cause(error)}.", hint=_REACH_HINT)
        return BrokerUnavailable(
            f"{options} accepts connections but does not answer in AMQP 0-9-1.",
            hint="Is it RabbitMQ's AMQP port (5672, or 5671 with amqps), and is it done starting?",
        )


_REACH_HINT = "Is RabbitMQ running there? Check host and port of the broker URL."


def _cause(error: BaseException) -> str:
    origin = error.__cause__ or error
    if isinstance(origin, OSError) and origin.errno is not None and origin.errno > 0:
        return os.strerror(origin.errno).lower()
    text = getattr(origin, "strerror", None) or str(origin)
    return text.rstrip(".") or type(origin).__name__
