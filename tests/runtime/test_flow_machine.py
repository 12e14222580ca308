"""Some messages through claim, retry, outbox, relay, rungs, dead letters, intake and redrive, until all is at rest.

The broker is a model that duplicates, delays, reorders and gives up on deliveries; workers die between any two
steps. What decides, and every statement on the database, is the engine's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Connection, text

from engine.model import delay
from engine.model import record as transitions
from engine.model.codec import Limits
from engine.model.deadletter import DeadLetter
from engine.model.message import Delivery, Message, Publication
from engine.model.operation import Item, ItemState, Operation, Options, Stage
from engine.model.operation import State as Course
from engine.model.outgoing import Outgoing
from engine.model.record import Join, Record, Run, State
from engine.model.topology import dlq_name, dlx_name
from engine.runtime import clock, redriving, resend
from engine.runtime.claims import ClaimSection
from engine.runtime.deadletters import Burial
from engine.runtime.intake import take_in
from engine.runtime.job import Job
from engine.runtime.outcomes import Outcome, TakenOver, write
from engine.runtime.resend import dead_row, retry_row
from engine.storage import outbox, records
from engine.storage.projection_tables import projections as _projections  # noqa: F401  # joins the metadata
from engine.storage.records import Fate
from engine.storage.tables import warren_metadata
from tests.runtime.flow_bed import (
    APP,
    CONSUMER,
    DLQ,
    DUE,
    IDS,
    QUEUE,
    Copy,
    Crash,
    Worker,
    dead_letters,
    memory_database,
)

PICK = st.integers(0, 1000)
FEW = st.integers(1, 3)

DATABASE = memory_database()

REDRIVE = redriving.Redrive()
OPERATION = Operation("rd-1", APP, "redrive", Course.RUNNING, Stage.SENDING, "anna", "", {}, Options(), "", 0)


class Flow(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.serial = itertools.count()
        self.now = 1_700_000_000.0
        self.queues: dict[str, list[Copy]] = {}
        self.born = 0
        self.workers = [self.worker(), self.worker()]
        self.published: set[str] = set()
        self.due: dict[tuple[str, int], float] = {}
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(clock, "now", lambda: self.now)
        for module in (resend, redriving):  # ids in the order of their making, the same in each replay
            self.patch.setattr(module, "new_id", lambda: f"{next(self.serial):06}")
        with DATABASE.begin() as connection:
            for table in reversed(warren_metadata.sorted_tables):
                connection.execute(table.delete())
            connection.execute(text("DELETE FROM effects"))

    def worker(self) -> Worker:
        self.born += 1
        return Worker(f"w{self.born}")

    # --- the broker -------------------------------------------------------------------

    def send(self, publication: Publication) -> None:
        if publication.exchange == dlx_name(APP):
            queue = dlq_name(publication.routing_key)
        else:
            queue = publication.routing_key if not publication.exchange else QUEUE
        ready = self.now
        for ms in delay.RUNGS:
            if queue == delay.rung_queue(APP, ms):
                ready += ms / 1000
        self.put(queue, publication, ready)

    def put(self, queue: str, publication: Publication, ready: float = 0.0) -> None:
        self.queues.setdefault(queue, []).append(Copy(next(self.serial), publication, ready))

    def take(self, queue: str, pick: int) -> Copy | None:
        copies = self.queues.get(queue)
        return copies.pop(pick % len(copies)) if copies else None

    @initialize(copies=FEW)
    def begin(self, copies: int) -> None:
        self.publish("a", copies)

    @rule(event_id=st.sampled_from(IDS), copies=FEW)
    def publish(self, event_id: str, copies: int) -> None:
        """Publish, perhaps more than once: the publisher was not sure."""
        if self.size() < 12:
            self.published.add(event_id)
            message = Message(b'{"number": 1}', message_id=event_id, type="test.step")
            for _ in range(copies):
                self.send(Publication("shop.events", "test.step", message))

    @precondition(lambda self: 0 < self.size() < 12)
    @rule(pick=PICK)
    def duplicate(self, pick: int) -> None:
        queue, copy = self.all()[pick % self.size()]
        self.put(queue, copy.publication, copy.ready)

    @precondition(lambda self: self.queues.get(QUEUE))
    @rule(pick=PICK)
    def give_up(self, pick: int) -> None:
        """The delivery limit, or another program's reject: the broker moves the message as it is."""
        copy = self.take(QUEUE, pick)
        assert copy is not None
        self.put(DLQ, copy.publication)

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.3, 2.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(most=st.integers(1, 10))
    def expire(self, most: int) -> None:
        """Some of what has been on its rung for long enough goes to the due queue."""
        ready = [(queue, copy) for queue, copy in self.all() if ".delay." in queue and copy.ready <= self.now]
        for queue, copy in ready[:most]:
            self.queues[queue].remove(copy)
            self.put(DUE, copy.publication)

    def all(self) -> list[tuple[str, Copy]]:
        return [(queue, copy) for queue in sorted(self.queues) for copy in self.queues[queue]]

    def size(self) -> int:
        return len(self.all())

    # --- the workers ------------------------------------------------------------------

    @precondition(lambda self: self.queues.get(QUEUE))
    @rule(number=st.integers(0, 1), picks=st.lists(PICK, min_size=1, max_size=3), fate=st.sampled_from("cccru"))
    def deliver(self, number: int, picks: list[int], fate: str) -> None:
        """Claim a group: committed, or rolled back by a crash, or committed with its answer unknown and done again."""
        worker = self.workers[number]
        copies = [copy for copy in (self.take(QUEUE, pick) for pick in picks) if copy is not None]
        jobs = [self.job(copy) for copy in copies]
        section = ClaimSection(APP, worker.id, worker, self.alive)  # type: ignore[arg-type]  # it asks for `jobs`
        try:
            results = self.transact(lambda connection: section.apply(connection, jobs), crash=fate == "r")
            if fate == "u":
                results = self.transact(lambda connection: section.apply(connection, jobs))
        except Crash:
            for copy in copies:
                self.put(QUEUE, copy.publication)
            return
        for copy, job, (decision, row) in zip(copies, jobs, results, strict=True):
            if isinstance(decision, Run):
                self.check_run(job, decision.record)
                job.record = decision.record
                if decision.suspect:
                    job.record = transitions.on_probation(decision.record, self.now)
                    fates = self.transact(lambda connection, job=job: records.settle(connection, [job.record]))  # type: ignore[misc, list-item]
                    assert fates == [Fate.APPLIED]
                worker.jobs[job.key] = job
                worker.unacked[job.key] = [copy]
            elif isinstance(decision, Join) and job.key in worker.jobs:
                worker.unacked[job.key].append(copy)
            elif isinstance(decision, Join):
                self.put(QUEUE, copy.publication)
            elif row is not None:
                worker.rows.append(row)

    def job(self, copy: Copy) -> Job:
        publication = copy.publication
        delivery = Delivery(QUEUE, publication.message, copy.serial, 0, publication.exchange, publication.routing_key)
        job = take_in(CONSUMER, delivery, Limits())
        assert job.defect is None
        assert job.claim.event_id in self.published
        return job

    def check_run(self, job: Job, record: Record) -> None:
        """A retry never runs before its time, whichever copy comes."""
        due = self.due.get((record.event_id, record.run))
        assert due is None or self.now >= due - delay.EARLY, f"run {record.run} began early, through {job.claim}"

    @precondition(lambda self: any(worker.jobs for worker in self.workers))
    @rule(
        pick=PICK,
        how=st.sampled_from(["done", "done", "retry", "retry", "bury"]),
        seconds=st.sampled_from([0.0, 0.1, 0.7, 3.0, 60.0]),
        end=st.sampled_from(["ack", "ack", "ack", "crash before", "crash after", "unknown"]),
    )
    def settle(self, pick: int, how: str, seconds: float, end: str) -> None:
        """A handler ends. The worker may die before the commit, after it, or not know if it was done."""
        held = [(worker, key) for worker in self.workers for key in sorted(worker.jobs)]
        worker, key = held[pick % len(held)]
        outcome = self.outcome(worker.jobs[key], how, seconds)
        applied = False
        with suppress(Crash, TakenOver):
            self.transact(lambda connection: self.commit(connection, worker, outcome), crash=end == "crash before")
            applied = True
            if end == "unknown":
                again = self.transact(lambda connection: write(connection, worker.id, [outcome]))
                assert again == [Fate.REPEATED]
        if applied and how == "retry":
            self.due[key[1], outcome.record.run] = self.now + seconds
        if end.startswith("crash"):
            self.die(self.workers.index(worker))
            return
        if applied:
            worker.rows.extend(outcome.rows)
        del worker.jobs[key], worker.unacked[key]

    def outcome(self, job: Job, how: str, seconds: float) -> Outcome:
        assert job.record is not None
        if how == "done":
            return Outcome(job, transitions.finish(job.record, self.now))
        if how == "retry":
            record = transitions.retry(job.record, self.now)
            return Outcome(job, record, [retry_row(job, record, seconds, self.now)])
        record = transitions.bury(job.record, self.now)
        letter = DeadLetter("attempts exhausted", attempts=record.attempts, run=record.run, queue=QUEUE)
        return Outcome(job, record, [dead_row(job, letter, APP, self.now)])

    def commit(self, connection: Connection, worker: Worker, outcome: Outcome) -> None:
        if write(connection, worker.id, [outcome]) == [Fate.LOST]:
            raise TakenOver
        if outcome.record.state is State.DONE:
            connection.execute(text("INSERT INTO effects VALUES (:id)"), {"id": outcome.record.event_id})

    @precondition(lambda self: any(worker.rows for worker in self.workers))
    @rule(pick=PICK, end=st.sampled_from(["confirmed", "confirmed", "confirm lost", "crash"]))
    def relay(self, pick: int, end: str) -> None:
        """Publish a row and strike it off; or the confirm is lost and it is sent again; or the worker dies between."""
        held = [(worker, row) for worker in self.workers for row in worker.rows]
        worker, row = held[pick % len(held)]
        publication = Publication(row.exchange, row.routing_key, row.message, row.mandatory)
        self.send(publication if row.due is None else delay.plan(APP, publication, row.due, self.now, exact=False))
        if end == "crash":
            self.die(self.workers.index(worker))
        elif end == "confirmed":
            worker.rows.remove(row)
            self.transact(lambda connection: outbox.remove(connection, [row.id]))

    @rule(number=st.integers(0, 1))
    def sweep(self, number: int) -> None:
        """Adopt what the dead, or an operation, left in the outbox."""
        worker = self.workers[number]

        def work(connection: Connection) -> list[Outgoing]:
            dead = [owner for owner in outbox.owners(connection) if owner is not None and not self.alive(owner)]
            return outbox.adopt(connection, worker.id, dead, 100)

        worker.rows.extend(self.transact(work))

    @precondition(lambda self: self.queues.get(DUE))
    @rule(pick=PICK, ack_lost=st.booleans())
    def forward(self, pick: int, ack_lost: bool) -> None:
        copy = self.take(DUE, pick)
        assert copy is not None
        target, when = delay.unwrap(Delivery(DUE, copy.publication.message, copy.serial))
        assert (target.exchange, target.routing_key) == ("", QUEUE)
        self.send(delay.plan(APP, target, when, self.now))
        if ack_lost:
            self.put(DUE, copy.publication)

    @rule(seconds=st.sampled_from([0.3, 70.0]))
    def go_on(self, seconds: float) -> None:
        """Nothing goes wrong for a while: all that is promised is sent, and what is due comes."""
        for number in range(len(self.workers)):
            self.sweep(number)
        while any(worker.rows for worker in self.workers):
            self.relay(0, "confirmed")
        self.wait(seconds)
        self.expire(100)
        for _ in self.queues.get(DUE, []).copy():
            self.forward(0, False)

    @precondition(lambda self: self.queues.get(DLQ))
    @rule(picks=st.lists(PICK, min_size=1, max_size=3), end=st.sampled_from(["ack", "ack", "ack lost", "crash before"]))
    def intake(self, picks: list[int], end: str) -> None:
        copies = [copy for copy in (self.take(DLQ, pick) for pick in picks) if copy is not None]
        burials: list[Burial] = []
        section = dead_letters(burials.append)
        for copy in copies:
            section._take(None, Delivery(DLQ, copy.publication.message, copy.serial), QUEUE, None)  # type: ignore[arg-type]
        with suppress(Crash):
            self.transact(lambda connection: section.apply(connection, burials), crash=end == "crash before")
        if end != "ack":
            for copy in copies:
                self.put(DLQ, copy.publication)

    @rule()
    def redrive(self) -> None:
        """An operator sends back all that failed, whatever has become of it since."""
        with DATABASE.connect() as connection:
            ids = list(connection.scalars(text("SELECT id FROM warren_failures ORDER BY id")))
        items = [Item(number, each, ItemState.WAITING, "", None, self.now) for number, each in enumerate(ids, 1)]
        self.transact(
            lambda connection: outbox.add(
                connection, None, REDRIVE.send(connection, OPERATION, items, self.now, ()).rows
            )
        )

    @rule(number=st.integers(0, 1))
    def die(self, number: int) -> None:
        worker, self.workers[number] = self.workers[number], self.worker()
        for copies in worker.unacked.values():
            for copy in copies:
                self.put(QUEUE, copy.publication)

    def alive(self, worker: str) -> bool:
        return any(each.id == worker for each in self.workers)

    # --- the database -----------------------------------------------------------------

    def transact(self, work: Callable[[Connection], Any], crash: bool = False) -> Any:
        with DATABASE.begin() as connection:
            result = work(connection)
            if crash:
                raise Crash
        return result

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with DATABASE.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    # --- what must hold ---------------------------------------------------------------

    @invariant()
    def each_effect_is_once(self) -> None:
        assert self.query("SELECT event_id FROM effects GROUP BY event_id HAVING count(*) > 1") == []

    @invariant()
    def what_is_done_had_its_effect(self) -> None:
        done = {event_id for (event_id,) in self.query("SELECT event_id FROM warren_records WHERE state = 'done'")}
        assert done == {event_id for (event_id,) in self.query("SELECT event_id FROM effects")}

    def teardown(self) -> None:
        """When no more goes wrong everything comes to rest: handled, or dead and in the table."""
        try:
            self.come_to_rest()
        finally:
            self.patch.undo()

    def come_to_rest(self) -> None:
        for number in range(len(self.workers)):
            self.die(number)
        for _ in range(400):
            self.sweep(0)
            while self.workers[0].rows:
                self.relay(0, "confirmed")
            while self.queues.get(QUEUE):
                self.deliver(0, [0], "c")
            while self.workers[0].jobs:
                self.settle(0, "done", 0.0, "ack")
            while self.queues.get(DLQ):
                self.intake([0], "ack")
            self.wait(70.0)
            self.expire(1000)
            while self.queues.get(DUE):
                self.forward(0, False)
            if not self.size() and not self.query("SELECT 1 FROM warren_outbox"):
                break
        assert not self.size(), f"copies go round for ever: {self.all()}"
        ended = {row[0]: row[1:] for row in self.query("SELECT event_id, state, run FROM warren_records")}
        assert set(ended) == self.published, "lost"
        failures = {tuple(row) for row in self.query("SELECT event_id, run FROM warren_failures")}
        for event_id, (state, run) in ended.items():
            assert state in ("done", "dead"), f"{event_id} is {state}, and nothing will wake it"
            assert state == "done" or (event_id, run) in failures, f"{event_id} is dead, and nowhere to be found"


# The same examples in each run: what fails once fails again.
TestFlow = Flow.TestCase
TestFlow.settings = settings(max_examples=50, stateful_step_count=50, derandomize=True, report_multiple_bugs=False)


@pytest.mark.slow
@pytest.mark.timeout(900)  # it computes for a minute, and for several beside others
class TestLongFlow(Flow.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=600, stateful_step_count=80, derandomize=True, report_multiple_bugs=False)
