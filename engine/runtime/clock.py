"""The one clock of the runtime: what is due, and when something happened, is told by `clock.now()`.

Seconds since the epoch, UTC. `engine.testing.harness` puts a clock of its own in its place.
How long something took, and how long to wait for the world, is measured with `time` itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

#: The present. Call it as `clock.now()`: a name imported from here would not follow.
now: Callable[[], float] = time.time


def utc() -> datetime:
    """The present, as a datetime in UTC."""
    return datetime.fromtimestamp(now(), UTC)
