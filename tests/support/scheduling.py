"""Which tests run one after the other in one process: those of a file, but for files of few and long ones."""

from __future__ import annotations

from typing import Final

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

#: Files whose tests have nothing in common and take long: each of them is dealt out alone.
APART: Final = ("tests/docs/test_code_blocks.py", "tests/monitor/test_hostile.py", "tests/monitor/test_snapshots.py")


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """`--dist loadfile`, without a long file at the end for which all others wait."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return nodeid if file in APART else file
