"""How failures are put into few words: causes, states, times. Pure; `now` is in seconds since the epoch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from monitor.drawing.figures import age
from monitor.drawing.tones import Tone

if TYPE_CHECKING:
    from engine.operations.failures import FailureRow, Group

#: A cause is new for so long after it was first seen, and goes on for so long after it was last seen, in seconds.
NEW = 600.0
GOING_ON = 120.0


class State(NamedTuple):
    """A state that reads without colour: `tone` is its colour, where there are colours."""

    glyph: str
    word: str
    tone: Tone

    def __str__(self) -> str:
        return f"{self.glyph} {self.word}"


OPEN = State("✗", "open", "bad")
EDITED = State("✎", "edited", "warn")
ARCHIVED = State("▪", "archived", "muted")
SENT = State("→", "sent again", "warn")
SUCCEEDED = State("✓", "succeeded", "good")
AGAIN = State("✗", "failed again", "bad")
OTHERWISE = State("✗", "failed otherwise", "bad")

_OUTCOMES = {"succeeded": SUCCEEDED, "failed again": AGAIN, "failed otherwise": OTHERWISE}


def cause(row: FailureRow) -> str:
    """What went wrong: the exception and its message, else the reason."""
    if not row.exception:
        return f"{row.reason}: {row.message}" if row.message and row.message != row.reason else row.reason
    return f"{row.exception}: {row.message}" if row.message else row.exception


def state(row: FailureRow) -> State:
    """Where a failure stands."""
    if row.status == "archived":
        return ARCHIVED
    if row.status == "redriven":
        return _OUTCOMES.get(row.outcome or "pending", SENT)
    return EDITED if row.edited else OPEN


def group_state(group: Group, now: float) -> State:
    """How a cause fares: new, going on, quiet, or nothing of it open any more."""
    if not any(number for status, number in group.statuses.items() if status == "open"):
        return State("✓", "settled", "good")
    if now - group.first_seen < NEW:
        return State("●", "new", "bad")
    if now - group.last_seen < GOING_ON:
        return State("▲", "going on", "bad")
    return State("○", "quiet", "warn")


def ago(moment: float, now: float) -> str:
    """How long ago that was: `3m ago`, `now`."""
    passed = age(max(now - moment, 0.0))
    return passed if passed == "now" else f"{passed} ago"


def moment(seconds: float, now: float) -> str:
    """A time in the local zone; its date only where it is not of today."""
    local, today = time.localtime(seconds), time.localtime(now)
    return time.strftime("%H:%M:%S" if local[:3] == today[:3] else "%Y-%m-%d %H:%M:%S", local)
