"""Events that tests publish; the plugins of worker processes declare their own."""

from __future__ import annotations

from engine import EventData


class Step(EventData, type="test.step", key="number", aggregate="step"):
    number: int
