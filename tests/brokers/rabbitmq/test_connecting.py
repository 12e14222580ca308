"""The first connect says what is wrong, once, and how to go on."""

from __future__ import annotations

import asyncio
import gc
import time
from urllib.parse import urlsplit

import pytest

from engine.brokers.rabbitmq.broker import RabbitBroker
from engine.errors import AccessRefused, BrokerError, BrokerUnavailable
from engine.testing.proxy import Proxy
from tests.support.process import free_port


async def fails(url: str) -> BrokerError:
    broker = RabbitBroker(url, app="test")
    with pytest.raises(BrokerError) as caught:
        await broker.connect()
    await broker.close()
    gc.collect()
    await asyncio.sleep(0)
    assert "s3cret" not in str(caught.value)
    return caught.value


def elsewhere(amqp_url: str, user: str = "guest:guest", path: str = "/") -> str:
    parts = urlsplit(amqp_url)
    return f"amqp://{user}@{parts.hostname}:{parts.port}{path}"


async def test_nobody_listens() -> None:
    error = await fails(f"amqp://guest:s3cret@127.0.0.1:{free_port()}/")
    assert isinstance(error, BrokerUnavailable)
    assert "cannot be reached" in error.message
    assert "running" in error.hint


async def test_an_unknown_host() -> None:
    error = await fails("amqp://guest:s3cret@no-such-host.invalid/")
    assert isinstance(error, BrokerUnavailable)


async def test_a_wrong_password(amqp_url: str) -> None:
    error = await fails(elsewhere(amqp_url, "guest:s3cret"))
    assert isinstance(error, AccessRefused)
    assert "'guest'" in error.message


async def test_a_missing_virtual_host(amqp_url: str) -> None:
    error = await fails(elsewhere(amqp_url, path="/no%2Fsuch"))
    assert isinstance(error, AccessRefused)
    assert "'no/such'" in error.message
    assert "add_vhost" in error.hint


async def test_something_else_listens() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    error = await fails(f"amqp://guest:s3cret@127.0.0.1:{port}/?connection_timeout=2")
    server.close()
    assert isinstance(error, BrokerUnavailable)
    assert "AMQP" in error.message


async def test_somebody_who_says_nothing(amqp_url: str) -> None:
    parts = urlsplit(amqp_url)
    async with Proxy(parts.hostname or "", parts.port or 0) as proxy:
        proxy.black_hole()
        began = time.monotonic()
        error = await fails(f"amqp://guest:s3cret@127.0.0.1:{proxy.port}/?connection_timeout=0.5")
        assert time.monotonic() - began < 3
    assert isinstance(error, BrokerUnavailable)
    assert "0.5 s" in error.message


async def test_tls_to_a_plain_port(amqp_url: str) -> None:
    parts = urlsplit(amqp_url)
    error = await fails(f"amqps://guest:s3cret@127.0.0.1:{parts.port}/?connection_timeout=2")
    assert isinstance(error, BrokerUnavailable)


async def test_a_close_without_a_connect() -> None:
    await RabbitBroker("amqp://127.0.0.1/").close()


async def test_a_caller_s_own_cancellation_goes_on(amqp_url: str) -> None:
    parts = urlsplit(amqp_url)
    async with Proxy(parts.hostname or "", parts.port or 0) as proxy:
        broker = RabbitBroker(f"amqp://guest:guest@127.0.0.1:{proxy.port}/")
        await broker.connect()
        proxy.hold()
        task = asyncio.create_task(broker.depths(["q"]))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        proxy.pass_on()
        assert await broker.depths(["no-such-queue"]) == {"no-such-queue": None}
        await broker.close()
