"""The whole demo as somebody plays it who does what the line says; its worker is a process of its own."""

from __future__ import annotations

import asyncio
import sys

import pytest

from engine.cli.demo.guided import Guided
from engine.cli.demo.stage import Stage
from monitor.demo.app import make
from tests.support.seat import Seat


@pytest.mark.slow
async def test_fail_inspect_fix_and_redrive_with_a_canary_to_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "handlers"]:
        monkeypatch.delitem(sys.modules, name)  # other tests have handlers of their own
    async with Stage.set_up(None, None) as stage:
        story = Guided(stage, 80)
        monitor = make(stage.settings, story)
        telling = asyncio.create_task(story.play())
        async with monitor.run_test(size=(80, 24)) as pilot:
            seat = Seat(monitor, pilot)
            await seat.see("payments failed for good.")
            await seat.until(lambda: story.failed > 3, "more failures than the canaries")
            await seat.press("3")
            await seat.see("One cause", "GatewayDown")
            await seat.press("enter")
            await seat.see("All fail alike.", "✗ open")
            await seat.press("enter")
            await seat.see("The bank's certificate has expired.")
            await seat.press("F")
            await seat.see("Mended.")
            await seat.press("escape", "escape")
            await seat.see("plans to send all")
            await seat.press("r")
            await seat.see("A dry run, nothing is sent yet.", "will be sent to their queues again")
            await seat.press("enter")
            await seat.see("✓ proved", "80 orders, lost 0, double effects 0.", "3 canaries")
        await telling
        await stage.stop_worker()
        summary = await story.summary()
    assert (summary.proven, summary.dead_lettered) == (True, summary.redriven)
    assert summary.redriven > 3
    if monitor.fault is not None:
        raise monitor.fault
