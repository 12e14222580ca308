"""The circuit of a queue: a handler that only fails is left alone for a while, and then tried with one message.

    closed ──N failures in a row, one cause──▶ open ──its time──▶ probing ──success──▶ closed
                                                ▲                    │
                                                └───────failure──────┘   (the next probe waits twice as long)

Source: "Circuit Breaker", Michael Nygard, "Release It!". Only failures that a retry may mend
count: what was rejected or unreadable says nothing of the world around the handler.

Times are seconds since the epoch, UTC. Nothing here reads a clock.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

#: Failed attempts in a row, of one cause, that open a circuit.
THRESHOLD: Final = 20
#: Seconds from the opening to the first probe; each failed probe doubles it, up to the longest.
FIRST_PROBE: Final = 5.0
LONGEST_PROBE: Final = 300.0

#: More doublings than lead to the longest pause, and few enough that no number overflows.
_DOUBLINGS: Final = 32


class Switch(StrEnum):
    """Where a circuit stands."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Cause(NamedTuple):
    """What a failed attempt failed of: failures of one fingerprint have one cause."""

    fingerprint: str
    exception: str


NO_CAUSE: Final = Cause("", "")


class Circuit(NamedTuple):
    """A circuit at one moment. While it is closed `failures` counts those in a row, of `cause`.

    `since` is when it was opened, `probes` how many probes failed, `next_probe` when the next one is due.
    """

    switch: Switch = Switch.CLOSED
    cause: Cause = NO_CAUSE
    failures: int = 0
    since: float = 0.0
    probes: int = 0
    next_probe: float = 0.0


CLOSED: Final = Circuit()


def failed(circuit: Circuit, cause: Cause, now: float, threshold: int = THRESHOLD) -> Circuit:
    """An attempt failed of this cause. A threshold of 0 never opens the circuit."""
    match circuit.switch:
        case Switch.CLOSED:
            same = circuit.cause.fingerprint == cause.fingerprint
            failures = circuit.failures + 1 if same else 1
            if threshold and failures >= threshold:
                return Circuit(Switch.OPEN, cause, failures, now, 0, now + FIRST_PROBE)
            return Circuit(Switch.CLOSED, cause, failures)
        case Switch.OPEN:
            return circuit  # an attempt that was under way when it opened
        case Switch.PROBING:
            probes = circuit.probes + 1
            return circuit._replace(
                switch=Switch.OPEN,
                cause=cause,
                failures=circuit.failures + 1,
                probes=probes,
                next_probe=now + pause(probes),
            )


def succeeded(_circuit: Circuit) -> Circuit:
    """An attempt succeeded, be it a probe or not: the handler can work."""
    return CLOSED


def is_due(circuit: Circuit, now: float) -> bool:
    """Whether it is time for a probe."""
    return circuit.switch is Switch.OPEN and now >= circuit.next_probe


def probe(circuit: Circuit) -> Circuit:
    """The next message is a probe."""
    return circuit._replace(switch=Switch.PROBING) if circuit.switch is Switch.OPEN else circuit


def put_off(circuit: Circuit) -> Circuit:
    """A probe that was not made: an operator paused the queue, or another worker probes it."""
    return circuit._replace(switch=Switch.OPEN) if circuit.switch is Switch.PROBING else circuit


def pause(probes: int) -> float:
    """Seconds until the next probe when so many have failed."""
    return min(FIRST_PROBE * 2.0 ** min(probes, _DOUBLINGS), LONGEST_PROBE)
