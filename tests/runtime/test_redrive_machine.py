"""Any course of two redrives of the same messages: steered, crashed, taken over, with zombies that go on sending.

Whatever happens, no message is sent while a copy of it is under way, none once it has succeeded, and the counts of an
operation are those of its items.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from engine.errors import UsageError
from engine.model import headers as names
from engine.model.operation import ENDED, ItemState, Operation, Options, State, Wish
from engine.operations import redrive, steering
from engine.operations.progress import list_operations
from engine.runtime.kinds import KINDS
from engine.runtime.leasing import Leases
from engine.runtime.performing import Performance, lease_name
from engine.storage import failures, operations, outbox, records
from engine.storage.database import Database
from engine.storage.failure_search import Filter
from tests.support.failing import QUEUE, bury_many, dead_message, set_record
from tests.support.performing import ANNA, relay_of

T = TypeVar("T")

MESSAGES = 8
#: A message with the run under which it was sent.
Copy = tuple[str, int]


class Redrives(RuleBasedStateMachine):
    operations = Bundle("operations")
    performances = Bundle("performances")

    def __init__(self) -> None:
        super().__init__()
        self._closing = contextlib.ExitStack()
        self._loop = self._closing.enter_context(asyncio.Runner())
        folder = Path(self._closing.enter_context(tempfile.TemporaryDirectory()))
        self.database = self.run(Database.open(f"sqlite:///{folder}/warren.db", migrate=True))
        self.run(bury_many(self.database, MESSAGES))
        self._owners = itertools.count()
        self.sent: list[Copy] = []
        self.handled: dict[Copy, bool] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run(work)

    def teardown(self) -> None:
        self.run(self.database.close())
        self._closing.close()

    # --- what people do ---------------------------------------------------------------------

    @rule(target=operations, canary=st.integers(0, 3), stop_after=st.integers(0, 2))
    def order(self, canary: int, stop_after: int) -> Any:
        plan = self.run(redrive.plan(self.database, None, Filter(queue=QUEUE)))
        if not plan.ids:
            return multiple()
        options = Options(canary=canary, stop_after=stop_after)
        return self.run(redrive.start(self.database, plan, app="shop", operator=ANNA, why="", options=options)).id

    @rule(operation=operations, wish=st.sampled_from(Wish))
    def steer(self, operation: str, wish: Wish) -> None:
        act = {Wish.PAUSE: steering.pause, Wish.RESUME: steering.resume, Wish.CANCEL: steering.cancel}[wish]
        with contextlib.suppress(UsageError):
            self.run(act(self.database, operation, operator=ANNA))

    # --- what workers do --------------------------------------------------------------------

    @rule(target=performances, operation=operations)
    def take_over(self, operation: str) -> Performance:
        """Whoever had it is taken for dead, and may be none the wiser."""
        owner = f"worker-{next(self._owners)}"

        async def work() -> Performance:
            token = await Leases(self.database, owner, lambda _: False).token(lease_name(operation))
            assert token is not None
            kind, relay = KINDS["redrive"], relay_of(self.database, cast("Any", None), owner)
            return Performance(
                operation,
                kind,
                database=self.database,
                broker=cast("Any", None),
                relay=relay,
                owner=owner,
                token=token,
            )

        made = self.run(work())
        self.run(self.database.write(made._begin))
        return made

    @rule(performance=performances, count=st.integers(1, MESSAGES))
    def send(self, performance: Performance, count: int) -> None:
        self.run(performance._send(count))
        self._read()

    @rule(performance=performances)
    def look(self, performance: Performance) -> None:
        performance._cursor = 0
        self.run(performance._look())

    @rule(performance=consumes(performances))
    def crash(self, performance: Performance) -> None:
        performance.stop()

    @rule(well=st.booleans(), which=st.integers(0, MESSAGES))
    def handle(self, well: bool, which: int) -> None:
        """A worker ends one of the copies that are under way."""
        under_way = [copy for copy in self.sent if copy not in self.handled]
        if not under_way:
            return
        event_id, run = copy = under_way[which % len(under_way)]
        self.handled[copy] = well
        if well:
            self.run(set_record(self.database, event_id, state=records.State.DONE))
            return
        failure, record = dead_message(event_id, run=run + 1, arrived=2000.0)

        def work(connection: Any) -> None:
            failures.add(connection, [failure])
            records.put(connection, [record])

        self.run(self.database.write(work))

    # --- what must hold ---------------------------------------------------------------------

    def _read(self) -> None:
        """What was put into the outbox since the last time, and that it had the right to be there."""

        def work(connection: Any) -> list[Copy]:
            ids = [row[0] for row in connection.exec_driver_sql("SELECT id FROM warren_outbox")]
            return [
                (str(row.message.message_id), cast("int", row.message.headers[names.RUN]))
                for row in outbox.read(connection, ids)
            ]

        copies = self.run(self.database.read(work))
        assert len(set(copies)) == len(copies), "one message was sent twice under one run"
        for event_id, run in set(copies) - set(self.sent):
            before = [copy for copy in self.sent if copy[0] == event_id]
            assert all(copy in self.handled for copy in before), f"{event_id} was sent while a copy was under way"
            assert not any(self.handled[copy] for copy in before), f"{event_id} was sent though it had succeeded"
            self.sent.append((event_id, run))

    def _all(self) -> list[Operation]:
        return self.run(list_operations(self.database, None))

    @invariant()
    def counts_agree(self) -> None:
        stand = self._all()
        for each in stand:
            counts = Counter[ItemState]()
            for (state, _), count in self.run(
                self.database.read(lambda connection, name=each.id: operations.counts(connection, name))  # type: ignore[misc]
            ).items():
                counts[state] += count
            assert counts.total() == each.total
            assert (each.waiting, each.pending) == (counts[ItemState.WAITING], counts[ItemState.SENT])
            assert (each.succeeded, each.skipped) == (counts[ItemState.SUCCEEDED], counts[ItemState.SKIPPED])
            assert each.failed == counts[ItemState.FAILED_AGAIN] + counts[ItemState.FAILED_OTHERWISE]
        assert sum(each.sent for each in stand) == len(self.sent)

    @rule()
    def finish(self) -> None:
        """Go on with everything that may go on: it comes to an end, and each outcome is known."""
        for _ in range(4 * MESSAGES):
            while any(copy not in self.handled for copy in self.sent):
                self.handle(well=True, which=0)
            moving = [each for each in self._all() if each.state not in ENDED or each.pending]
            if not moving:
                return
            for each in moving:
                if each.state in (State.PAUSED, State.STOPPED):
                    self.run(steering.resume(self.database, each.id, operator=ANNA))
                performance = self.take_over(each.id)
                self.send(performance, MESSAGES)
                self.look(performance)
        raise AssertionError(f"it does not end: {self._all()}")


TestRedrives = Redrives.TestCase
TestRedrives.settings = settings(max_examples=10, stateful_step_count=25)
