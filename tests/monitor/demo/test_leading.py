"""The line that leads through the demo, and the key that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from monitor.demo.app import make
from monitor.demo.leading import Step, lead
from tests.support.inprocess import own_settings
from tests.support.seat import Seat


@dataclass
class Story:
    """How far it is; whatever a test says."""

    ready: bool = True
    orders: int = 200
    confirmed: int = 0
    failed: int = 0
    mended: bool = False
    redriving: bool = False
    redriven: int = 0
    lost: int | None = None
    double_effects: int | None = None

    def fix(self) -> None:
        self.mended = True


@pytest.mark.parametrize(
    ("page", "told", "step", "said"),
    [
        ("OverviewPage", {"ready": False}, Step.FAIL, "A worker starts"),
        ("OverviewPage", {}, Step.FAIL, "Orders flow"),
        ("OverviewPage", {"failed": 24}, Step.INSPECT, "24 payments failed for good. [3] shows why."),
        ("FailuresPage", {"failed": 24}, Step.INSPECT, "[enter] shows them"),
        ("MessagesPage", {"failed": 24}, Step.INSPECT, "[enter] shows one whole"),
        ("MessagePage", {"failed": 24}, Step.FIX, "[F] renews it"),
        ("PlanPage", {"failed": 24}, Step.FIX, "they would fail again"),
        ("MessagePage", {"failed": 24, "mended": True}, Step.REDRIVE, "[esc] leads back"),
        ("FailuresPage", {"failed": 24, "mended": True}, Step.REDRIVE, "[r] plans to send all 24"),
        ("PlanPage", {"failed": 24, "mended": True}, Step.REDRIVE, "[enter] starts it"),
        ("OperationPage", {"failed": 9, "mended": True, "redriving": True}, Step.REDRIVE, "The canary goes first"),
        ("QueuesPage", {"failed": 9, "mended": True, "redriving": True}, Step.REDRIVE, "[5] shows"),
        ("OperationPage", {"confirmed": 180, "mended": True, "redriven": 24}, Step.REDRIVE, "180 of 200"),
        ("OverviewPage", {"mended": True}, Step.FIX, "certificate is renewed"),
        ("OperationPage", {"mended": True, "lost": 0, "double_effects": 0}, Step.PROVED, "lost 0, double effects 0"),
        ("OperationPage", {"mended": True, "lost": 0, "double_effects": 2}, Step.PROVED, "NOT PROVED"),
    ],
)
def test_what_is_said(page: str, told: dict[str, Any], step: Step, said: str) -> None:
    found = lead(Story(**told), page)
    assert found.step is step
    assert said in found.text
    assert len(found.text) <= 78  # it stands on one line of a narrow terminal


async def test_the_line_follows_and_the_key_mends_once(tmp_path: Path, app: str) -> None:
    story = Story()
    monitor = make(own_settings(tmp_path, app), story)
    async with monitor.run_test(size=(80, 24)) as pilot:
        seat = Seat(monitor, pilot)
        await seat.see("▶ fail", "Orders flow", "Renew the certificate")
        story.failed = 7
        await seat.see("✓ fail", "▶ inspect", "7 payments failed for good.")
        await seat.press("3")
        await seat.see("One cause, 7 messages.")
        await seat.press("F")
        await seat.see("✓ fix", "▶ redrive", "Mended.")
        assert story.mended
        await seat.miss("Renew the certificate")
        story.failed, story.lost, story.double_effects = 0, 0, 0
        await seat.press("1")
        await seat.see("✓ proved", "200 orders, lost 0, double effects 0.")
