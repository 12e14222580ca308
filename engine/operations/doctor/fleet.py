"""Checks of queues and workers together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from engine.brokers.base import Depth
from engine.operations import orphans
from engine.operations.doctor.finding import Finding, ok, warn
from engine.operations.durations import format_duration
from engine.operations.migrating import bridge_name, store_name
from engine.operations.pausing import Shut
from engine.runtime.strangers import crowded
from engine.storage.workers import DeclaredQueue, Worker

#: Queues that are named one by one.
NAMED = 5
#: Due messages that may wait at a time: the forwarder holds many more in hand.
MOST_DUE = 1_000


def check_orphans(
    declared: Sequence[DeclaredQueue], owned: Mapping[str, Collection[str]], depths: Mapping[str, Depth | None]
) -> list[Finding]:
    """Queues that a handler once declared and that none owns any more."""
    findings = [
        warn("orphans", f"{orphan.queue} has {orphan.ready:,} messages and no handler", orphan.advice)
        for orphan in orphans.find(declared, owned, depths)
    ]
    return findings or [ok("orphans", "no queue is without a handler")]


def check_cut_off(queues: Sequence[str], depths: Mapping[str, Depth | None]) -> list[Finding]:
    """Migrations that were interrupted: messages wait beside their queue."""
    findings: list[Finding] = []
    for queue in queues:
        beside = [depth for name in (store_name(queue), bridge_name(queue)) if (depth := depths.get(name)) is not None]
        if beside:
            waiting = sum(depth.ready for depth in beside)
            hint = f"Stop the workers and call `warren topology migrate {queue}` again: it goes on where it ended."
            findings.append(warn("migration", f"{queue}: a migration was cut off, {waiting:,} messages wait", hint))
    return findings


def check_consumers(depths: Mapping[str, Depth | None], alive: Sequence[Worker]) -> list[Finding]:
    """Queues with more consumers than this database has live workers: the others remember elsewhere what was handled."""
    found = [
        f"{name} ({depth.consumers})"
        for name, depth in sorted(depths.items())
        if depth is not None and crowded(depth.consumers, alive, name)
    ]
    if not found:
        return []
    hint = (
        "Each worker consumes a queue once. Somebody else consumes these against another database: the same event can "
        "then be handled twice. Give all workers of a queue the same --database."
    )
    shown = ", ".join(found[:NAMED]) + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")
    return [warn("consumers", f"more consumers than this database has live workers for: {shown}", hint)]


def check_holds(alive: Sequence[Worker]) -> list[Finding]:
    """Handlers whose sessions were held for over a second, the longest first: on SQLite nobody else writes meanwhile."""
    longest: dict[str, tuple[float, int]] = {}
    for worker in alive:
        handlers = worker.info.get("handlers", {})
        for queue, (count, seconds) in worker.info.get("holds", {}).items():
            name = f"{handlers.get(queue, 'a handler')} on {queue}"
            before, times = longest.get(name, (0.0, 0))
            longest[name] = (max(before, seconds), times + count)
    ranked = sorted(longest.items(), key=lambda item: -item[1][0])
    if not ranked:
        return []
    shown = ", ".join(
        f"{name} ({format_duration(seconds)}, {times:,} times over a second)"
        for name, (seconds, times) in ranked[:NAMED]
    )
    hint = (
        "A session begins at its first statement and ends when the handler returns; on SQLite nobody else writes "
        "meanwhile. Call what is slow before the first statement."
    )
    return [warn("sessions", f"transactions were held for long by {shown}", hint)]


def check_due(depth: Depth | None, alive: int) -> list[Finding]:
    """Whether delayed messages that are due go on."""
    if depth is None or not depth.ready:
        return []
    what = f"{depth.ready:,} delayed messages are due and not forwarded"
    if not alive:
        return [warn("due", what, "Every worker forwards them; start one: `warren worker`.")]
    if not depth.consumers or depth.ready > MOST_DUE:
        hint = "Look into the workers' logs for what the forwarder says; restart one if it says nothing."
        return [warn("due", what, hint)]
    return []


def check_shut(shut: Shut, now: float) -> list[Finding]:
    """Queues that are paused, and those whose circuit is open."""
    findings = [
        warn(
            "paused",
            f"{pause.queue} was paused {format_duration(now - pause.since)} ago by {pause.who}"
            + (f": {pause.why}" if pause.why else ""),
            f"`warren queues resume {pause.queue}` has it consumed again.",
        )
        for pause in shut.paused.values()
    ]
    return findings + [
        warn(
            "circuit",
            f"{opened.queue} is left alone: {opened.circuit.failures:,} attempts in a row failed with "
            f"{opened.circuit.cause.exception}",
            f"Put that right. It is probed by itself; `warren queues resume {opened.queue}` has it consumed at once.",
        )
        for opened in shut.circuits.values()
    ]
