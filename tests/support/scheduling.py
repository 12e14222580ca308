"""Which tests run one after the other in one process: those of a file, but for files of few and long ones."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

#: Files whose tests have nothing in common and take long: each of them is dealt out alone.
APART: Final = ("tests/docs/test_code_blocks.py", "tests/monitor/test_hostile.py", "tests/monitor/test_snapshots.py")


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """`--dist loadfile`, without a long file at the end for which all others wait."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return nodeid if file in APART else file


def long_first(items: list[pytest.Item]) -> None:
    """Put what is dealt out alone first, then the files with the most tests, so that the end is made of small ones."""
    tests = Counter(item.nodeid.partition("::")[0] for item in items)

    def place(item: pytest.Item) -> tuple[bool, int]:
        file = item.nodeid.partition("::")[0]
        return file not in APART, -tests[file]

    items.sort(key=place)
