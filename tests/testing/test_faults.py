"""Fault points: named, documented, and reached in their order."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import ConfigurationError, Context, Event, EventData, handler
from engine.runtime import points
from engine.runtime.points import POINTS
from engine.testing.faults import at_point
from engine.testing.harness import Harness

DOCUMENT = Path(__file__).parents[2] / "docs" / "testing.md"


class Asked(EventData, type="question.asked"):
    text: str


class Answered(EventData, type="question.answered"):
    text: str


@handler(Asked)
async def answer(event: Event[Asked], ctx: Context) -> None:
    ctx.emit(Answered(text="42"))


@pytest.mark.parametrize("point", POINTS)
def test_each_point_is_documented(point: str) -> None:
    assert f"\n| `{point}` |" in DOCUMENT.read_text()
    assert f"\n    {point} " in str(points.__doc__)


async def test_a_message_passes_the_points_and_the_hook_is_put_back() -> None:
    reached: list[str] = []
    with (
        at_point("claimed", lambda: reached.append("claimed")),
        at_point("handled", lambda: reached.append("handled")),
        at_point("committed", lambda: reached.append("committed")),
    ):
        async with Harness(answer) as harness:
            await harness.publish(Asked(text="?"))
            await harness.settle()
    assert reached == ["claimed", "handled", "committed"]
    assert points.hook is None


def test_a_point_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="There is no point 'commited'"), at_point("commited", print):
        pytest.fail("it was taken")
