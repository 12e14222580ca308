"""The test bed itself: servers start, keep what they confirmed through a kill -9, and end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import aio_pika
import psycopg
import pytest

from tests.support.amqp import PATIENCE, Leftovers, channel
from tests.support.postgres import PostgresServer
from tests.support.process import ServerProcess
from tests.support.rabbit import RabbitNode, speaks_amqp


async def _publish(url: str, queue: str) -> None:
    async with channel(url) as plain:
        await plain.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await plain.default_exchange.publish(message, routing_key=queue)


async def _read(url: str, queue: str) -> bytes:
    async with asyncio.timeout(20), channel(url) as plain:
        declared = await plain.declare_queue(queue, passive=True)
        while True:  # a quorum queue elects its leader only after the node answers
            message = await declared.get(no_ack=True, fail=False, timeout=PATIENCE)
            if message is not None:
                return message.body
            await asyncio.sleep(0.1)


async def test_the_shared_broker_takes_a_message(amqp_url: str, app: str, leftovers: Leftovers) -> None:
    leftovers.queues(app)
    await _publish(amqp_url, app)
    assert await _read(amqp_url, app) == b"kept"


async def test_leftovers_are_deleted(amqp_url: str, app: str) -> None:
    await _publish(amqp_url, app)
    leftovers = Leftovers(amqp_url)
    leftovers.queues(app, f"{app}.never-made")
    await leftovers.delete()
    async with channel(amqp_url) as plain:
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
            await plain.declare_queue(app, passive=True)


@pytest.mark.faults
async def test_a_node_keeps_its_messages_through_a_kill(rabbit_node: RabbitNode) -> None:
    await _publish(rabbit_node.url, "kept")
    rabbit_node.settle()
    rabbit_node.kill()
    assert not speaks_amqp("127.0.0.1", rabbit_node.port)
    rabbit_node.start()
    assert await _read(rabbit_node.url, "kept") == b"kept"


def test_each_test_has_an_empty_database(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


@pytest.mark.faults
def test_a_database_server_keeps_its_rows_through_a_kill(postgres_node: PostgresServer) -> None:
    with psycopg.connect(postgres_node.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    postgres_node.kill()
    postgres_node.start()
    with psycopg.connect(postgres_node.url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_server_does_not_outlive_its_owner(tmp_path: Path) -> None:
    script = (
        "import sys, os, pathlib; from tests.support.process import ServerProcess;"
        "server = ServerProcess(['sleep', '60'], environ=os.environ, log=pathlib.Path(sys.argv[1]));"
        "print(server.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "log")], capture_output=True, text=True, timeout=20
    )
    pid = int(ran.stdout)
    deadline = time.monotonic() + 10
    while _alive(pid):
        assert time.monotonic() < deadline, "the server still runs"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    """Whether it runs; a zombie that nobody has reaped yet does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return state.stdout.strip()[:1] not in {"", "Z"}


def test_a_server_that_does_not_start_says_what_it_printed(tmp_path: Path) -> None:
    server = ServerProcess(["sh", "-c", "echo out of luck; exit 3"], environ=os.environ, log=tmp_path / "log")
    deadline = time.monotonic() + 10
    while server.running():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    server.stop()
    assert server.output() == "out of luck"
