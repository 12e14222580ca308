"""What was done about a failure, and what became of it."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What an operator did about a failure."""

    OPEN = "open"
    REDRIVEN = "redriven"
    ARCHIVED = "archived"


class Outcome(StrEnum):
    """What became of a redriven failure."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    #: It failed again with the same fingerprint, or with another.
    FAILED_AGAIN = "failed again"
    FAILED_OTHERWISE = "failed otherwise"
