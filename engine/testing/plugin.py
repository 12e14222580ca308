"""The harness as a pytest fixture. It is not loaded by itself; in your `conftest.py` write

    pytest_plugins = ["engine.testing.plugin"]

A test that fails shows what its harnesses saw, and their files stay in its `tmp_path`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from engine.testing.harness import Harness

_MADE = pytest.StashKey[list["Harness"]]()


@pytest.fixture
def warren_harness(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Harness]:
    """Makes harnesses: `async with warren_harness(charge) as harness`. Takes what `Harness` takes."""
    from engine.testing.harness import Harness

    made = request.node.stash.setdefault(_MADE, [])

    def make(*handlers: Any, **options: Any) -> Harness:
        folder = tmp_path / f"warren-{len(made)}"
        folder.mkdir()
        harness = Harness(*handlers, **{"folder": folder, **options})
        made.append(harness)
        return harness

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the story of each harness to a test that failed."""
    report = yield
    if call.when == "call" and report.failed:
        for harness in item.stash.get(_MADE, []):
            report.sections.append(("Warren harness", harness.story.text(f"{len(harness.specs)} handlers")))
    return report
