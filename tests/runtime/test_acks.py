from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from engine.errors import BrokerUnavailable
from engine.runtime import acks
from engine.runtime.acks import Acker, ack_group


class Frames:
    """A subscription that keeps the groups in which it was acked."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.acked = asyncio.Event()
        self.lost = False

    async def ack(self, deliveries: Sequence[int]) -> None:
        self.groups.append(list(deliveries))
        self.acked.set()
        if self.lost:
            raise BrokerUnavailable("The connection was lost.", hint="")


@pytest.fixture
async def acker() -> AsyncIterator[Acker]:
    acker = Acker()
    task = asyncio.create_task(acker.run())
    yield acker
    task.cancel()


def put(acker: Acker, frames: Any, *tags: Any, group: int = 1) -> None:
    for tag in tags:
        acker.put(frames, [tag], group=group)


@pytest.mark.parametrize(("prefetch", "group"), [(1, 1), (15, 1), (16, 2), (240, 30), (65535, 64)])
def test_a_group_leaves_the_broker_room(prefetch: int, group: int) -> None:
    assert ack_group(prefetch) == group


async def test_acks_wait_for_their_group(acker: Acker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acks, "PATIENCE", 3600)
    frames = Frames()
    put(acker, frames, 1, 2, 3, group=4)
    await asyncio.sleep(0.02)
    assert frames.groups == []
    put(acker, frames, 4, group=4)
    await acker.flushed()
    assert frames.groups == [[1, 2, 3, 4]]


async def test_a_group_that_does_not_fill_is_acked_soon(acker: Acker) -> None:
    frames = Frames()
    put(acker, frames, 1, 2, group=64)
    async with asyncio.timeout(5):
        await frames.acked.wait()
    assert frames.groups == [[1, 2]]


async def test_flushing_waits_for_no_group(acker: Acker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acks, "PATIENCE", 3600)
    frames = Frames()
    put(acker, frames, 1, group=64)
    async with asyncio.timeout(5):
        await acker.flushed()
    assert frames.groups == [[1]]


async def test_a_lost_connection_stops_no_ack_of_another(acker: Acker) -> None:
    lost, other = Frames(), Frames()
    lost.lost = True
    put(acker, lost, 1)
    put(acker, other, 2)
    await acker.flushed()
    assert other.groups == [[2]]
