"""What fails, for who looks again and again: the causes are read anew only when their numbers have changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from engine.model.filter import Filter
from engine.model.masking import Masking
from engine.operations.masking import mask_row
from engine.storage import arrivals, failure_counts, failure_groups, projections
from engine.storage.database import Database
from engine.storage.failure_groups import Group, Window
from engine.storage.failures import Status
from engine.storage.projections import Checkpoint

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Seconds after which causes are read anew though their numbers are what they were: somebody may have edited one.
STALE = 10.0


class Causes:
    """The causes of the failures that match a filter, the largest first. One look at a time.

    Each has its numbers in `buckets` equal parts of the last `span` seconds; the last part is still under way.
    """

    def __init__(self, *, limit: int, masking: Masking, buckets: int, span: float) -> None:
        self._limit = limit
        self._masking = masking
        self._buckets = buckets
        self._width = span / buckets
        self._groups: list[Group] = []
        #: What they were read for and from; None: nothing was read.
        self._seen: _Seen | None = None
        self._until = 0.0

    def forget(self) -> None:
        """The next look reads anew."""
        self._seen = None

    async def look(self, database: Database, wanted: Filter, now: float) -> list[Group]:
        """The newest state; `now` in seconds since the epoch."""
        return await database.read(lambda connection: self.read(connection, wanted, now))

    def read(self, connection: Connection, wanted: Filter, now: float) -> list[Group]:
        """The same on a connection."""
        seen = _Seen(wanted, _numbers(connection, wanted), self._parts(now))
        if seen.numbers is None or seen != self._seen or now >= self._until:
            found = failure_groups.groups(connection, wanted, limit=self._limit, window=seen.window)
            self._groups = [group._replace(latest=mask_row(group.latest, self._masking)) for group in found]
            self._seen, self._until = seen, now + STALE
        return self._groups

    def _parts(self, now: float) -> Window:
        """The window, which moves by whole parts."""
        until = math.floor(now / self._width + 1) * self._width
        return Window(until - self._buckets * self._width, until, self._buckets)


class _Seen(NamedTuple):
    wanted: Filter
    numbers: Sequence[tuple[str, str, int]] | None
    window: Window


def _numbers(connection: Connection, wanted: Filter) -> Sequence[tuple[str, str, int]] | None:
    """What tells whether anything changed; None where nothing does: of those redriven the outcome changes too."""
    if wanted.status is not Status.OPEN or not failure_counts.serves(connection, wanted):
        return None
    return failure_counts.by_group(connection, replace(wanted, status=None))


class Failing(NamedTuple):
    """What fails: the causes, how many dead letters came in each part of a while, and the projections that stand still."""

    groups: Sequence[Group]
    arrivals: Sequence[int]
    stopped: Sequence[Checkpoint]


class FailingLook:
    """Looks at all of it in one read. One look at a time."""

    def __init__(self, app: str, causes: Causes, *, span: float, parts: int) -> None:
        self._app = app
        self._causes = causes
        self._span = span
        self._parts = parts
        self._last: Failing | None = None

    def forget(self) -> None:
        """The next look reads all anew."""
        self._causes.forget()

    async def look(self, database: Database, now: float) -> Failing:
        """The open failures; how many came in `parts` equal parts of the last `span` seconds, the newest last."""
        self._last = await database.read(lambda connection: self._read(connection, now))
        return self._last

    def _read(self, connection: Connection, now: float) -> Failing:
        groups = self._causes.read(connection, Filter(status=Status.OPEN), now)
        if self._last is not None and groups is self._last.groups:
            came = self._last.arrivals  # none has come since
        else:
            came = arrivals.arrivals(connection, now - self._span, now, self._parts)
        return Failing(groups, came, [row for row in projections.fetch(connection, self._app) if row.failing])
