"""The fleet: workers, what they count and own, and the queues that they declared."""

from __future__ import annotations

from sqlmodel import Field, Text

from engine.storage.tables.base import BIG, WarrenTable


class WorkerRow(WarrenTable, table=True):
    """A worker process, as it last reported itself; `beat` is for people, never proof of life."""

    __tablename__ = "warren_workers"

    id: str = Field(primary_key=True, sa_type=Text)
    app: str = Field(sa_type=Text)
    version: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    started: float
    beat: float
    info: str = Field(sa_type=Text)


class BeatRow(WarrenTable, table=True):
    """The counter that a living worker raises; used where there is no file lock to prove life."""

    __tablename__ = "warren_beats"

    worker: str = Field(primary_key=True, sa_type=Text)
    counter: int = Field(sa_type=BIG)


class StatsRow(WarrenTable, table=True):
    """What one worker counted on one queue since its start; `latency` is a JSON list of bucket counts."""

    __tablename__ = "warren_stats"

    worker: str = Field(primary_key=True, sa_type=Text)
    queue: str = Field(primary_key=True, sa_type=Text)
    handler: str = Field(sa_type=Text)
    handled: int = Field(sa_type=BIG)
    failed: int = Field(sa_type=BIG)
    retried: int = Field(sa_type=BIG)
    duplicates: int = Field(sa_type=BIG)
    stale: int = Field(sa_type=BIG)
    parked: int = Field(sa_type=BIG)
    dead: int = Field(sa_type=BIG)
    in_flight: int = Field(sa_type=BIG)
    latency: str = Field(sa_type=Text)
    updated: float


class QueueRow(WarrenTable, table=True):
    """A queue that an application declared, so that a renamed handler's orphan can be named."""

    __tablename__ = "warren_queues"

    queue: str = Field(primary_key=True, sa_type=Text)
    app: str = Field(sa_type=Text)
    handler: str = Field(sa_type=Text)
    patterns: str = Field(sa_type=Text)
    first_declared: float
    last_declared: float


class PauseRow(WarrenTable, table=True):
    """A queue that an operator paused: no worker consumes it."""

    __tablename__ = "warren_pauses"

    queue: str = Field(primary_key=True, sa_type=Text)
    since: float
    who: str = Field(sa_type=Text)
    why: str = Field(sa_type=Text)


class CircuitRow(WarrenTable, table=True):
    """A queue whose circuit is open: `worker` probes it, the others keep off."""

    __tablename__ = "warren_circuits"

    queue: str = Field(primary_key=True, sa_type=Text)
    worker: str = Field(sa_type=Text)
    fingerprint: str = Field(sa_type=Text)
    exception: str = Field(sa_type=Text)
    failures: int = Field(sa_type=BIG)
    since: float
    probes: int = Field(sa_type=BIG)
    next_probe: float


class LeaseRow(WarrenTable, table=True):
    """A piece of work that one worker does for all; `token` grows with each new owner."""

    __tablename__ = "warren_leases"

    name: str = Field(primary_key=True, sa_type=Text)
    owner: str | None = Field(default=None, sa_type=Text)
    token: int = Field(sa_type=BIG)
    taken: float


class ScheduleRow(WarrenTable, table=True):
    """A schedule: up to which moment it is settled, and the last tick that was published.

    `spec`, `timezone` and `missed` are those of the worker that has its lease.
    """

    __tablename__ = "warren_schedules"

    name: str = Field(primary_key=True, sa_type=Text)
    app: str = Field(sa_type=Text)
    spec: str = Field(sa_type=Text)
    timezone: str = Field(sa_type=Text)
    missed: str = Field(sa_type=Text)
    last: float
    next: float
    fired: float | None = None
    worker: str = Field(sa_type=Text)
    changed: float
