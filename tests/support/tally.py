"""What a run of fault tests injected, and what it found lost or doubled; said at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

#: The name under which a test's counts travel with its report, also between the processes of pytest-xdist.
PROPERTY = "warren-faults"


class Tally:
    """Counts of one test."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, **numbers: int) -> None:
        """Add to `faults`, `messages`, `lost` or `doubled`."""
        self.counts.update(numbers)

    def fault(self, times: int = 1) -> None:
        """Something was broken on purpose."""
        self.counts["faults"] += times


def summary(reports: Iterable[Any]) -> str | None:
    """One line for all tests of a run, or None where no fault was injected."""
    total: Counter[str] = Counter()
    for report in reports:
        if getattr(report, "when", None) == "teardown":  # each test has one
            for name, counts in report.user_properties:
                if name == PROPERTY:
                    total.update(counts)
    if not total["faults"]:
        return None
    return (
        f"{total['faults']} faults injected, {total['messages']} messages followed: "
        f"lost {total['lost']}, doubled {total['doubled']}"
    )
