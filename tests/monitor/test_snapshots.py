"""Every screen as it is drawn, in a narrow and in a wide terminal, held against a text file.

`WARREN_TEST_SNAPSHOTS=write make test ARGS=tests/monitor/test_snapshots.py` writes the files anew.
"""

from __future__ import annotations

import asyncio
import difflib
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import pytest

from engine import Settings
from engine.operations.operator import Operator
from monitor.source.source import Source
from monitor.table.table import Table
from tests.monitor.still import NOW, still
from tests.support.seat import Seat, seated

FOLDER = Path(__file__).with_name("snapshots")
SIZES = ((80, 24), (200, 60))
#: Seconds in which a screen that matches its file is drawn, and without a change before a file is written.
PATIENCE, STILL = 15.0, 1.0


class Shot(NamedTuple):
    """A screen: the steps that lead there, each of them keys and a text to be waited for, and what it must show."""

    name: str
    steps: Sequence[tuple[str, str]]
    #: Steps that undo what would be seen on another screen.
    back: Sequence[tuple[str, str]] = ()


SHOTS = (
    Shot("overview", [("", "12 failed, the last"), ("", "waiting 7")]),
    Shot("queues", [("2", "1 of 3 queues"), ("j", "2 of 3 queues"), ("", "7")]),
    Shot("queue", [("2", "1 of 3 queues"), ("j j enter", "because     the carrier is on strike")]),
    Shot("pause", [("2", "1 of 3 queues"), ("p", "Pause shop.shop.charge?")]),
    Shot("failures", [("3", "20 failures of 4 causes"), ("", "1 of 4 causes")]),
    Shot(
        "failures-filtered",
        [("3", "20 failures"), ("/ h a n d l e r : r e s e r v e enter", "1 of 1 causes")],
        back=[("escape", " of 4 causes"), ("g", "1 of 4 causes")],
    ),
    Shot("messages", [("3", "1 of 4 causes"), ("enter", "1 of 12 failures"), ("j space", "1 marked")]),
    Shot("message", [("3", "1 of 4 causes"), ("enter", "1 of 12 failures"), ("enter", "failure      #12")]),
    Shot("message-end", [("3", "1 of 4 causes"), ("enter", "1 of 12"), ("enter", "#12"), ("G", "given up after")]),
    Shot("editor", [("3", "1 of 4 causes"), ("j e", "1 field changed")]),
    Shot("difference", [("3", "1 of 4 causes"), ("j D", "Edits of failure #17"), ("", "~ data.total")]),
    Shot("plan", [("3", "1 of 4 causes"), ("r", "Redrive 12 messages"), ("", "12  to shop.shop.charge")]),
    Shot("archive", [("3", "1 of 4 causes"), ("a", "Archive 12 failures?")]),
    Shot("traces", [("4", "correlations of late"), ("", "visit-12")]),
    Shot("trace", [("4", "visit-12"), ("enter", "inventory.reserved"), ("j", "2 of")]),
    Shot("trace-event", [("4", "visit-12"), ("enter", "inventory.reserved"), ("enter", "─ Body")]),
    Shot("operations", [("5", "1 of 2 operations")]),
    Shot("operation", [("5", "1 of 2 operations"), ("enter", "redrive rd-bbbbbbb"), ("", "1 of 20 messages")]),
    Shot("workers", [("6", "1 of 1 workers"), ("a", "1 of 2 workers")], back=[("a", "1 of 1 workers")]),
    Shot("worker", [("6", "1 of 1 workers"), ("enter", "shop.charge")]),
    Shot("audit", [("7", "1 of 4 entries")]),
    Shot("audit-entry", [("7", "1 of 4 entries"), ("j enter", "failures archive")]),
    Shot("help", [("3", "1 of 4 causes"), ("?", "Bring back what was archived last")]),
    Shot("palette", [("3", "1 of 4 causes"), (":", "Search for commands"), ("", "Bring back what")]),
)

#: Those of the log of events, and what begins there.
LOG_SHOTS = (
    Shot("events", [("8", "1 of 5 events"), ("", "▶ following the newest"), ("j", "2 of 5 events")]),
    Shot("event", [("8", "1 of 5 events"), ("G enter", "traceparent"), ("", "─ Body")]),
    Shot("history", [("8", "1 of 5 events"), ("j j h", "account/a-7   at version 3"), ("j", "2 of 3 versions")]),
    Shot("state", [("8", "1 of 5 events"), ("j j h", "3 versions"), ("enter", "─ State at version 3")]),
    Shot("streams", [("8", "1 of 5 events"), ("H", "1 of 1 streams")]),
    Shot("replay", [("8", "1 of 5 events"), ("r", "to which handler?"), ("", "1 of 3 handlers")]),
    Shot("replay-plan", [("8", "1 of 5 events"), ("r", "1 of 3 handlers"), ("enter", "and to nobody else")]),
    Shot("projections", [("8", "1 of 5 events"), ("P", "1 of 3 projections"), ("j", "2 of 3 projections")]),
    Shot("projection", [("8", "1 of 5 events"), ("P", "of 3 projections"), ("j enter", "it stands at event 4")]),
    Shot("rebuild", [("8", "1 of 5 events"), ("P", "of 3 projections"), ("j j b", "12"), ("", "month end")]),
)


@pytest.fixture(scope="module")
def _clock() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        patch.setattr(Source, "cost", "4 ms")
        yield
    time.tzset()


@pytest.fixture
async def shop(tmp_path: Path, _clock: None) -> AsyncIterator[Settings]:
    async with still(tmp_path) as settings:
        yield settings


@pytest.mark.parametrize("shots", [SHOTS, LOG_SHOTS], ids=["failures", "log"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_screens(shop: Settings, size: tuple[int, int], shots: Sequence[Shot]) -> None:
    wrong: list[str] = []
    async with seated(shop, size=size, clock=lambda: NOW) as seat:
        seat.monitor.source.operator = Operator("anna@web-1")
        await seat.see("● broker", "● database", "1 worker")
        for shot in shots:
            await follow(seat, shot.steps)
            wrong += await held(seat, FOLDER / f"{shot.name}-{size[0]}x{size[1]}.txt")
            await go_home(seat)
            await follow(seat, shot.back)
    assert not wrong, "\n".join([*wrong, __doc__ or ""])


async def follow(seat: Seat, steps: Sequence[tuple[str, str]]) -> None:
    """Go through the steps."""
    for keys, text in steps:
        await seat.press(*keys.split())
        await seat.see(text)


async def go_home(seat: Seat) -> None:
    """Leave whatever is on top, and put the cursor on the first row."""
    while len(seat.monitor.screen_stack) > 1:
        seat.monitor.pop_screen()
    await seat.pilot.pause()
    seat.monitor.screen.query(Table).first().move_to(0)
    await seat.pilot.pause()


async def held(seat: Seat, path: Path) -> list[str]:
    """Wait until what is drawn is what was; how it differs at last, or nothing."""
    if os.environ.get("WARREN_TEST_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(await settled(seat), encoding="utf-8")
    known = path.read_text(encoding="utf-8") if path.exists() else ""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while known != seat.screen + "\n":
                await asyncio.sleep(0.02)
            return []
    drawn = seat.screen + "\n"
    return [f"{path.name} differs:", *difflib.unified_diff(known.split("\n"), drawn.split("\n"), lineterm="", n=1)]


async def settled(seat: Seat) -> str:
    """What is drawn once nothing moves any more."""
    before, since = "", monotonic()
    while monotonic() - since < STILL:
        await asyncio.sleep(0.05)
        if seat.screen != before:
            before, since = seat.screen, monotonic()
    return before + "\n"
