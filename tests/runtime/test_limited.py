"""The time-out of a handler: without a timer until it waits, and like `asyncio.timeout` from then on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from engine.runtime.limited import TimeOutExpired, within


async def at_once(value: int) -> int:
    return value


async def later(value: int) -> int:
    for _ in range(3):
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    return value


@pytest.mark.parametrize("work", [at_once, later])
async def test_the_result_comes_through(work: Any) -> None:
    assert await within(5, work(7)) == 7


async def test_what_never_waits_sets_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a timer was set")

    monkeypatch.setattr(asyncio.get_running_loop(), "call_at", refuse)
    assert await within(5, at_once(1)) == 1


@pytest.mark.parametrize("waits", [False, True])
async def test_an_error_of_the_work_comes_through(waits: bool) -> None:
    async def fails() -> None:
        if waits:
            await asyncio.sleep(0)
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await within(5, fails())


async def test_what_takes_too_long_is_cancelled() -> None:
    seen: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(TimeOutExpired):
        await within(0.01, slow())
    assert seen == ["cancelled"]


async def test_the_work_may_clean_up_after_the_time_out() -> None:
    seen: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
            seen.append("clean")

    with pytest.raises(TimeOutExpired):
        await within(0.01, slow())
    assert seen == ["clean"]


async def test_a_time_out_within_the_work_stays_its_own() -> None:
    async def guarded() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return "inner"
        return "none"

    assert await within(5, guarded()) == "inner"


async def test_the_outer_task_can_be_cancelled() -> None:
    begun = asyncio.Event()

    async def waits() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(within(5, waits()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_abandoned_work_is_closed() -> None:
    seen: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("closed")

    outer: Coroutine[Any, Any, None] = within(5, waits())
    outer.send(None)
    outer.close()
    assert seen == ["closed"]


async def test_what_it_stood_in_line_does_not_count() -> None:
    loop = asyncio.get_running_loop()
    begun, turn = loop.time(), loop.create_future()
    loop.call_later(0.3, turn.set_result, None)

    def queued() -> float:
        return min(loop.time() - begun, 0.3)

    async def in_line(then: float) -> str:
        await asyncio.shield(turn)
        await asyncio.sleep(then)
        return "done"

    assert await within(0.1, in_line(0), queued=queued) == "done"
    begun, turn = loop.time(), loop.create_future()
    loop.call_later(0.3, turn.set_result, None)
    with pytest.raises(TimeOutExpired):
        await within(0.1, in_line(600), queued=queued)
    assert loop.time() - begun >= 0.39
