"""What every broker must do: the contract of `engine.brokers.base` as checks that can be run.

For whoever writes an adapter, or wants to know what a broker is worth. No test runner is
needed: a check is an async function that takes a way to make brokers, and raises
`NotConforming` (an AssertionError) where the broker does otherwise.

    from engine.brokers import open_broker
    from engine.testing.conformance import CHECKS, run_all

    await run_all(lambda: open_broker("embedded:///tmp/broker.db", app="check"))

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_conformance(check): await check(make)

Each call of `make` gives a broker of its own, all on the same messages, not yet connected.
The checks use queues and exchanges with names of their own, and delete them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.testing.conformance import (
    content,
    deadletters,
    declaring,
    delays,
    delivery,
    load,
    publishing,
    requests,
    routing,
    single,
    streams,
)
from engine.testing.conformance.bed import Check, Make, NotConforming

__all__ = ["CHECKS", "Check", "Make", "NotConforming", "run_all"]

#: Every check, those that explain the failure of others first.
CHECKS: Final[tuple[Check, ...]] = (
    *declaring.CHECKS,
    *routing.CHECKS,
    *content.CHECKS,
    *publishing.CHECKS,
    *delivery.CHECKS,
    *single.CHECKS,
    *deadletters.CHECKS,
    *delays.CHECKS,
    *requests.CHECKS,
    *streams.CHECKS,
    *load.CHECKS,
)


async def run_all(make: Make, checks: Sequence[Check] = CHECKS) -> None:
    """Run the checks one after the other; raises an ExceptionGroup of all that failed."""
    failures: list[Exception] = []
    for check in checks:
        try:
            await check(make)
        except Exception as error:
            error.add_note(f"in the check {check.__name__}")
            failures.append(error)
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(checks)} conformance checks failed", failures)
