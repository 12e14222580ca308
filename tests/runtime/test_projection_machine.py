"""Whatever happens to a projection, its table is the fold of what the log has for it, and so is a rebuilt one."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Connection, text
from sqlmodel import Field, SQLModel

from engine import AsyncSession, Event, EventData, projection
from engine.operations import projections as acts
from engine.operations import rebuilding
from engine.operations.operator import Operator
from engine.storage.database import Database
from engine.testing.faults import at_point
from engine.testing.projecting import Projected

KEYS = ("a", "b", "c")
ME = Operator("anna@test")
#: A value that the projection refuses.
POISON = -1


class Set(EventData, type="machine.set"):
    key: str
    revision: int
    value: int


class Other(EventData, type="machine.other"):
    pass


class Value(SQLModel, table=True):
    __tablename__ = "machine_values"

    key: str = Field(primary_key=True)
    value: int
    events: int


@projection(Set, tables=[Value], batch=3, key="key", versions="revision")
async def values(events: list[Event[Set]], session: AsyncSession) -> None:
    for event in events:
        row = await session.get(Value, event.data.key) or Value(key=event.data.key, value=0, events=0)
        row.value, row.events = event.data.value, row.events + 1
        session.add(row)
        await session.flush()
        if event.data.value == POISON:
            raise ValueError("poison")


SPEC = values.__warren_projection__  # type: ignore[attr-defined]
NAME = "test.test_projection_machine.values"


#: What is written to the log at once: of few keys and revisions, so that many are stale.
EVENTS = st.lists(
    st.builds(
        Set, key=st.sampled_from(KEYS), revision=st.integers(1, 6), value=st.sampled_from([1, 2, 3, 4, 5, POISON])
    )
    | st.just(Other()),
    min_size=3,
    max_size=9,
)


class Crash(BaseException):
    """The process dies here."""


@contextlib.contextmanager
def after_commit(action: Callable[[], None]) -> Iterator[None]:
    """Run `action` each time a session was committed."""
    finish = AsyncSession.finish

    async def finished(self: AsyncSession, work: Callable[[Connection], Any]) -> Any:
        result = await finish(self, work)
        action()
        return result

    AsyncSession.finish = finished  # type: ignore[method-assign]
    try:
        yield
    finally:
        AsyncSession.finish = finish  # type: ignore[method-assign]


class ProjectionMachine(RuleBasedStateMachine):
    #: A migrated SQLite file to begin with, or else the URL of a database on PostgreSQL.
    template: Path | str = ""

    @initialize(events=EVENTS)
    def begin(self, events: list[Set | Other]) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.mkdtemp(prefix="warren-machine-")
        if isinstance(self.template, Path):
            path = shutil.copy(self.template, self.folder)
            self.projected = Projected(values, database=f"sqlite:///{path}")
        else:
            empty(self.template)
            self.projected = Projected(values, database=self.template)
        self.run(self.projected.__aenter__())
        #: The log, as (position, event or None).
        self.log: list[tuple[int, Set | None]] = []
        #: The positions that were left out, of the live copy and of the rebuilt one.
        self.skipped: dict[bool, set[int]] = {False: set(), True: set()}
        self.rebuilt = self.paused = False
        #: How far the live table has been.
        self.reached = 0
        self.append(events)

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    @rule(events=EVENTS)
    def append(self, events: list[Set | Other]) -> None:
        self.run(self.projected.append(*events))
        for event in events:
            self.log.append((len(self.log) + 1, event if isinstance(event, Set) else None))

    @rule()
    def project(self) -> None:
        self.run(self.projected.project())

    @rule(times=st.integers(1, 3), committed=st.booleans())
    def crash(self, times: int, committed: bool) -> None:
        """The process dies before a batch is committed, or right after."""
        left = times

        def die() -> None:
            nonlocal left
            left -= 1
            if not left:
                raise Crash

        with after_commit(die) if committed else at_point("projected", die), contextlib.suppress(Crash):
            self.run(self.projected.project())
        self.run(self.ended())

    async def ended(self) -> None:
        """The other copy may be at work still."""
        await asyncio.gather(*self.projected.projector._tasks.values(), return_exceptions=True)

    @rule()
    def try_again(self) -> None:
        """The backoff is over."""
        statement = text("UPDATE warren_projections SET retry_at = 0")
        self.run(self.projected.database.write(lambda connection: connection.execute(statement)))
        self.run(self.projected.project())

    @rule(rebuilt=st.booleans())
    def skip(self, rebuilt: bool) -> None:
        for copy in self.run(self.projected.checkpoints()):
            if bool(copy.suffix) == rebuilt and copy.failing:
                work = acts.skip(
                    self.projected.database, NAME, suffix=copy.suffix, event_id=copy.failed_event, operator=ME, why=""
                )
                assert self.run(work)
                self.skipped[rebuilt].add(copy.failed_position)

    @rule()
    def pause_or_resume(self) -> None:
        act = acts.resume if self.paused else acts.pause
        self.run(act(self.projected.database, NAME, operator=ME, why=""))
        self.paused = not self.paused

    @precondition(lambda self: not self.rebuilt)
    @rule()
    def rebuild(self) -> None:
        self.run(rebuilding.begin(self.projected.database, "test", SPEC, operator=ME, why=""))
        self.rebuilt, self.paused, self.skipped[True] = True, self.paused, set()

    @precondition(lambda self: self.rebuilt)
    @rule()
    def swap(self) -> None:
        if any(copy.suffix and copy.failing for copy in self.run(self.projected.checkpoints())):
            return
        if self.run(rebuilding.swap(self.projected.database, "test", SPEC, operator=ME, why="")):
            self.rebuilt, self.skipped[False] = False, self.skipped[True]

    @precondition(lambda self: self.rebuilt)
    @rule()
    def give_up(self) -> None:
        assert self.run(rebuilding.cancel(self.projected.database, NAME, operator=ME, why=""))
        self.rebuilt = False

    @invariant()
    def tables_are_the_fold(self) -> None:
        if not hasattr(self, "log"):
            return
        for copy in self.run(self.projected.checkpoints()):
            rows = self.run(self.projected.rows(Value, suffix=copy.suffix))
            found = {row.key: (row.value, row.events) for row in rows}
            folded, stale = self.fold(copy.position, self.skipped[bool(copy.suffix)])
            assert (found, copy.stale) == (folded, stale)
            if not copy.suffix:
                assert copy.position >= self.reached, "who reads would see the past again"
                self.reached = copy.position
            if copy.failing:
                event = self.log[copy.failed_position - 1][1]
                assert event is not None
                assert event.value == POISON

    def fold(self, position: int, skipped: set[int]) -> tuple[dict[str, tuple[int, int]], int]:
        """What a table has to hold when so much of the log was applied, and how many events were stale."""
        table: dict[str, tuple[int, int]] = {}
        newest: dict[str, int] = {}
        stale = 0
        for at, event in self.log:
            if at > position or event is None or at in skipped:
                continue
            if event.revision <= newest.get(event.key, 0):
                stale += 1
                continue
            newest[event.key] = event.revision
            table[event.key] = (event.value, table.get(event.key, (0, 0))[1] + 1)
        return table, stale

    def teardown(self) -> None:
        if hasattr(self, "projected"):
            self.run(self.projected.__aexit__(None, None, None))
            self.runner.close()
            shutil.rmtree(self.folder, ignore_errors=True)


def empty(url: str) -> None:
    """A log without events, as if it were new."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'machine_%'").fetchall()
        for (name,) in found:
            connection.execute(f"DROP TABLE {name}".encode())
        tables = "warren_events, warren_projections, warren_projection_versions, warren_leases"
        connection.execute(f"TRUNCATE {tables} RESTART IDENTITY".encode())


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=[pytest.mark.slow, pytest.mark.timeout(560)])])
def template(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    sqlite = request.param == "sqlite"
    url: str = f"sqlite:///{tmp_path}/template.db" if sqlite else request.getfixturevalue("postgres_url")

    async def make() -> None:
        await (await Database.open(url, migrate=True)).close()

    asyncio.run(make())
    return tmp_path / "template.db" if sqlite else url


def test_a_projection_is_the_fold_of_the_log(template: Path | str) -> None:
    ProjectionMachine.template = template
    ProjectionMachine.TestCase.settings = settings(
        max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    ProjectionMachine.TestCase("runTest").runTest()
