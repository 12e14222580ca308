"""A broker file, brokers on it, and other processes at it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from engine.brokers.embedded import EmbeddedBroker
from engine.model.message import Delivery, Message, Publication
from engine.model.topology import Queue, Topology

ROOT = Path(__file__).resolve().parents[3]
CHILD = Path(__file__).with_name("child.py")


class Child:
    """A process that runs `child.py`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> list[str]:
        """The words of the next line that it says; none at its end."""
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            return (await self._process.stdout.readline()).decode().split()

    async def kill(self) -> None:
        """SIGKILL."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def end(self) -> int:
        """Wait for its end."""
        async with asyncio.timeout(20):
            return await self._process.wait()


class Inbox:
    """What a subscription delivers."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue()
        self.receive = self._queue.put_nowait

    async def take(self, count: int, seconds: float = 20) -> list[Delivery]:
        """Wait for so many more deliveries."""
        async with asyncio.timeout(seconds):
            return [await self._queue.get() for _ in range(count)]

    def empty(self) -> bool:
        return self._queue.empty()


Connect: TypeAlias = Callable[..., Awaitable[EmbeddedBroker]]
Spawn: TypeAlias = Callable[..., Awaitable[Child]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sub" / "broker.db"


@pytest.fixture
async def connect(path: Path) -> AsyncIterator[Connect]:
    """Makes connected brokers; keyword arguments go to the constructor."""
    brokers: list[EmbeddedBroker] = []

    async def make(**options: object) -> EmbeddedBroker:
        broker = EmbeddedBroker(path, **options)  # type: ignore[arg-type]
        brokers.append(broker)
        await broker.connect()
        return broker

    yield make
    for broker in brokers:
        await broker.close()


@pytest.fixture
async def broker(connect: Connect) -> EmbeddedBroker:
    return await connect()


@pytest.fixture
async def spawn(path: Path) -> AsyncIterator[Spawn]:
    """Starts processes at the broker file; they are killed in the end."""
    children: list[Child] = []

    async def start(verb: str, *arguments: object) -> Child:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(CHILD),
            verb,
            str(path),
            *map(str, arguments),
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
        )
        children.append(Child(process))
        return children[-1]

    yield start
    for child in children:
        await child.kill()


async def declare(broker: EmbeddedBroker, name: str, **arguments: str | int) -> str:
    """Declare a queue; `message_ttl=5` is x-message-ttl."""
    given = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
    await broker.declare(Topology(queues=(Queue(name, given),)))
    return name


def to(queue: str, *ids: object) -> list[Publication]:
    """A message for each id."""
    return [Publication("", queue, Message(b"x", message_id=str(message_id))) for message_id in ids]


def ids(deliveries: list[Delivery]) -> list[str | None]:
    return [delivery.message.message_id for delivery in deliveries]


async def drain(broker: EmbeddedBroker, queue: str) -> list[str | None]:
    """The ids of what is in a queue, taken off it."""
    found = []
    while (message := await broker.get(queue)) is not None:
        found.append(message.message_id)
    return found


async def rows(broker: EmbeddedBroker, table: str) -> int:
    """How many rows a table of the file has."""
    count: int = await broker.ask(lambda s: s.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    return count
