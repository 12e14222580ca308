"""The opt-in pytest plugin, in a project of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

CONFTEST = 'pytest_plugins = ["engine.testing.plugin"]\n'
TESTS = """\
import asyncio
from engine import Event, EventData, handler

class Arrived(EventData, type="guest.arrived"):
    name: str

@handler(Arrived)
async def greet(event: Event[Arrived]) -> None:
    if event.data.name == "Nobody":
        raise ValueError("nobody is there")

async def story(warren_harness, name):
    async with warren_harness(greet) as harness:
        await harness.publish(Arrived(name=name), id="e-1")
        await harness.settle()
        harness.handled(greet, count=1)

def test_somebody(warren_harness, tmp_path):
    asyncio.run(story(warren_harness, "Ann"))
    assert (tmp_path / "warren-0" / "warren.db").is_file()

def test_nobody(warren_harness):
    asyncio.run(story(warren_harness, "Nobody"))
"""


def run(project: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    return done.stdout + done.stderr


def test_the_fixture_and_what_it_tells_of_a_failure(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_guests.py").write_text(TESTS)
    said = run(tmp_path, "--basetemp", str(tmp_path / "kept"), "--tb=short")
    assert "1 failed, 1 passed" in said
    assert "Warren harness" in said
    assert "failed     greet: guest.arrived e-1, attempt 1: ValueError: nobody is there" in said


def test_it_is_not_there_unless_it_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "test_guests.py").write_text("def test_it(warren_harness): ...\n")
    assert "fixture 'warren_harness' not found" in run(tmp_path)
