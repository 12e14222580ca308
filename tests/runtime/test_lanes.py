"""Lanes, serial keys and batches, on jobs without a broker."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from engine.errors import DecodingError
from engine.runtime.job import Job
from engine.runtime.lanes import BatchLanes, Lanes
from engine.runtime.serial import Serial


class Numbered:
    """What lanes and keys look at of a job."""

    def __init__(self, number: int, key: Any = None) -> None:
        self.number = number
        self.key = key
        self.event: object = object()
        self.defect: DecodingError | None = None


def numbered(number: int, key: Any = None) -> Job:
    return cast("Job", Numbered(number, key))


async def ended(lanes: Lanes) -> None:
    for task in lanes.tasks:
        task.cancel()
    await asyncio.gather(*lanes.tasks, return_exceptions=True)


async def test_a_burst_opens_as_many_lanes_as_it_needs() -> None:
    running = 0
    full = asyncio.Event()

    async def run(job: Job) -> None:
        nonlocal running
        running += 1
        if running == 4:
            full.set()
        await full.wait()

    lanes = Lanes("q", 4, run)
    lanes.put(numbered(0))
    await asyncio.sleep(0)
    for number in range(3):  # one lane is free when they come, and not enough
        lanes.put(numbered(number))
    async with asyncio.timeout(5):
        await full.wait()
    assert len(lanes.tasks) == 4
    await ended(lanes)


async def test_equal_keys_run_in_order_and_others_beside_them() -> None:
    order: dict[int, list[int]] = defaultdict(list)
    running: Counter[int] = Counter()
    most = 0
    done = asyncio.Event()
    total = 400

    async def run(job: Job) -> None:
        nonlocal most
        item = cast("Numbered", job)
        running[item.key] += 1
        assert running[item.key] == 1
        most = max(most, running.total())
        for _ in range(item.number % 3):
            await asyncio.sleep(0)
        order[item.key].append(item.number)
        running[item.key] -= 1
        if sum(map(len, order.values())) == total:
            done.set()

    serial = Serial("q", 16, run, lambda job: cast("Numbered", job).key)
    for number in range(total):
        serial.put(numbered(number, number % 20))
    async with asyncio.timeout(5):
        await done.wait()
    assert all(numbers == sorted(numbers) for numbers in order.values())
    assert most == 16
    await ended(serial.lanes)
    assert not serial._waiting


async def test_a_long_queue_of_one_key_blocks_no_lane() -> None:
    hold, other = asyncio.Event(), asyncio.Event()

    async def run(job: Job) -> None:
        item = cast("Numbered", job)
        if item.key == "other":
            other.set()
        else:
            await hold.wait()

    serial = Serial("q", 2, run, lambda job: cast("Numbered", job).key)
    for number in range(50):
        serial.put(numbered(number, "busy"))
    serial.put(numbered(50, "other"))
    async with asyncio.timeout(5):
        await other.wait()
    await ended(serial.lanes)


async def test_a_job_run_alone_waits_for_its_turn_too() -> None:
    order: list[int] = []

    async def run(job: Job) -> None:
        await asyncio.sleep(0)
        order.append(cast("Numbered", job).number)

    serial = Serial("q", 2, run, lambda job: cast("Numbered", job).key)
    serial.put(numbered(0, "k"))
    serial.put(numbered(1, "k"))
    alone = asyncio.create_task(serial.alone(numbered(2, "k")))
    await asyncio.sleep(0)
    serial.put(numbered(3, "k"))
    async with asyncio.timeout(5):
        await alone
        while len(order) < 4:
            await asyncio.sleep(0)
    assert order == [0, 1, 2, 3]
    await ended(serial.lanes)


async def test_without_a_key_nobody_waits_and_a_broken_key_is_a_defect() -> None:
    jobs: list[Job] = []
    hold = asyncio.Event()

    async def run(job: Job) -> None:
        jobs.append(job)
        await hold.wait()

    def key_of(job: Job) -> Any:
        if cast("Numbered", job).key == "broken":
            raise DecodingError("broken")
        return None

    serial = Serial("q", 3, run, key_of)
    for number in range(2):
        serial.put(numbered(number))
    serial.put(numbered(2, "broken"))
    async with asyncio.timeout(5):
        while len(jobs) < 3:
            await asyncio.sleep(0)
    broken = next(job for job in jobs if cast("Numbered", job).key == "broken")
    assert (str(broken.defect), broken.event) == ("broken", None)
    await ended(serial.lanes)


def batches(size: int, wait: float) -> tuple[BatchLanes, list[int], Callable[[int], Awaitable[None]]]:
    sizes: list[int] = []

    async def run(jobs: Any) -> None:
        sizes.append(len(jobs))

    async def until(total: int) -> None:
        async with asyncio.timeout(5):
            while sum(sizes) < total:
                await asyncio.sleep(0)

    return BatchLanes("q", 1, run, size=size, wait=wait), sizes, until


@pytest.mark.parametrize(("wait", "expected"), [(0.0, [1, 4]), (5.0, [5])])
async def test_a_batch_takes_what_is_ready_or_waits_for_more(wait: float, expected: list[int]) -> None:
    lanes, sizes, until = batches(5, wait)
    lanes.put(numbered(0))
    for _ in range(3):
        await asyncio.sleep(0)
    for number in range(1, 5):
        lanes.put(numbered(number))
    await until(5)
    assert sizes == expected
    await ended(lanes)


async def test_a_batch_is_never_larger_than_asked_and_waits_no_longer() -> None:
    lanes, sizes, until = batches(3, 0.01)
    for number in range(7):
        lanes.put(numbered(number))
    await until(7)
    assert sizes == [3, 3, 1]
    await ended(lanes)
