"""Checks of the project: its folder, and its plugins."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.errors import PluginError
from engine.model.handler import DEFAULT_CONCURRENCY, HandlerSpec, default_prefetch
from engine.operations.doctor.filesystem import NETWORK, kind_of
from engine.operations.doctor.finding import Finding, fail, ok, warn
from engine.operations.durations import format_duration

#: RabbitMQ's own limit on the time from delivery to ack, in seconds (`consumer_timeout`).
CONSUMER_TIMEOUT = 1800.0


def check_folder(folder: Path) -> list[Finding]:
    """Whether `.warren` can be written and is local."""
    place = folder if folder.exists() else folder.parent
    if not place.is_dir():
        return [fail("folder", f"{place} is not a folder", "Move it away, or use --project.")]
    if not os.access(place, os.W_OK | os.X_OK):
        return [fail("folder", f"{place} cannot be written by this user", "Give it the right, or use --project.")]
    kind = kind_of(place)
    if kind in NETWORK:
        hint = "SQLite's WAL needs a local disk: name another --project, or use PostgreSQL and RabbitMQ."
        return [fail("folder", f"{place} lies on {kind}, a network file system", hint)]
    return [ok("folder", f"{folder} can be written" + (f" ({kind})" if kind else ""))]


def check_plugins(load: Callable[[], list[HandlerSpec]], app: str) -> tuple[list[HandlerSpec], list[Finding]]:
    """The handlers, and whether their plugins import and a worker can call them."""
    try:
        specs = load()
    except PluginError as error:
        return [], [fail("plugins", error.message, error.hint)]
    if not specs:
        hint = "Put a file with handlers into handlers/ of the project, or name a module in [tool.warren]."
        return [], [warn("plugins", "there are no handlers", hint)]
    queues = {spec.queue_for(app) for spec in specs}
    if unbound := _unbound(specs):
        return specs, unbound
    found = f"{_counted(len(specs), 'handler')} on {_counted(len(queues), 'queue')}"
    return specs, [ok("plugins", found), *check_timeouts(specs)]


def _unbound(specs: Sequence[HandlerSpec]) -> list[Finding]:
    """Handlers whose parameters no worker can give them: it would refuse to start."""
    from engine.runtime.binding import bind

    findings: list[Finding] = []
    for spec in specs:
        try:
            bind(spec)
        except PluginError as error:
            findings.append(fail("plugins", error.message, error.hint))
    return findings


def longest_hold(spec: HandlerSpec) -> float:
    """Seconds that a message may be held in a worker: until a lane is free, and then until its handler ends."""
    lanes = spec.concurrency or DEFAULT_CONCURRENCY
    prefetch = spec.prefetch or default_prefetch(lanes, spec.timeout)
    return math.ceil(prefetch / lanes) * spec.timeout


def check_timeouts(specs: Sequence[HandlerSpec]) -> list[Finding]:
    """Handlers that may hold a message so long that the broker takes it back."""
    limit = format_duration(CONSUMER_TIMEOUT)
    broker = (
        f"RabbitMQ takes its messages back from whoever holds one longer than {limit}, unless its setting consumer_timeout "
        "is higher."
    )
    findings: list[Finding] = []
    slow = [spec for spec in specs if spec.timeout >= CONSUMER_TIMEOUT]
    if slow:
        names = ", ".join(f"{spec.name} ({format_duration(spec.timeout)})" for spec in slow)
        hint = f"{broker} Split the work, or raise it."
        findings.append(warn("time-outs", f"time-outs at or past the broker's own: {names}", hint))
    crammed = [spec for spec in specs if spec.timeout < CONSUMER_TIMEOUT <= longest_hold(spec)]
    if crammed:
        names = ", ".join(f"{spec.name} ({format_duration(longest_hold(spec))})" for spec in crammed)
        hint = f"{broker} A message may wait that long for a free lane: lower prefetch=, or raise concurrency=."
        findings.append(warn("time-outs", f"prefetch × time-out ÷ concurrency is past {limit}: {names}", hint))
    return findings


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
