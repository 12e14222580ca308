"""After a batch time-out the single runs share a limit, and nobody but the culprit counts an attempt."""

from __future__ import annotations

import asyncio

import pytest

from engine import Event, EventData, RetryPolicy, handler
from engine.testing.harness import Harness

calls: list[list[int]] = []


class Ping(EventData, type="test.ping"):
    number: int


@handler(Ping, batch=6, batch_wait=0.1, timeout=0.15, retry=RetryPolicy(max_attempts=1))
async def slow(events: list[Event[Ping]]) -> None:
    calls.append([event.data.number for event in events])
    await asyncio.sleep(0.1 if len(events) == 1 else 5)


async def test_single_runs_share_one_time_out_and_the_others_come_again(caplog: pytest.LogCaptureFixture) -> None:
    calls.clear()
    async with Harness(slow) as harness:
        await asyncio.gather(*(harness.publish(Ping(number=number)) for number in range(6)))
        await harness.settle()
        harness.handled(slow, count=6)
        harness.dead_letters(count=0)
        harness.retried(count=0)
        assert await harness.sql("SELECT DISTINCT state, attempts, run FROM warren_records") == [("done", 1, 1)]
    assert sorted(numbers[0] for numbers in calls if len(numbers) == 1) == list(range(6))
    sizes = [len(numbers) for numbers in calls]
    single = next(index for index, size in enumerate(sizes[1:]) if size > 1)
    assert sizes[0] == 6
    assert single in (1, 2), "no more than two begin within the time-out that they share"
    assert sizes[1 + single] == 6 - single
    assert f"the other {6 - single} go back to their queue" in caplog.text
