"""What a check finds."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """One thing that was looked at: what there is to say, and the next step where there is one."""

    level: Level
    topic: str
    what: str
    hint: str = ""


def ok(topic: str, what: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, topic, what)


def warn(topic: str, what: str, hint: str) -> Finding:
    """It works, but it may not for long."""
    return Finding(Level.WARN, topic, what, hint)


def fail(topic: str, what: str, hint: str) -> Finding:
    """It does not work."""
    return Finding(Level.FAIL, topic, what, hint)
