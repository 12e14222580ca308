"""One event in one queue, through a broker that duplicates, delays and reorders, and workers that die anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.model.record import (
    Bury,
    Claim,
    Conflict,
    Holder,
    Join,
    Park,
    Record,
    Run,
    Skip,
    State,
    bury,
    decide,
    entomb,
    finish,
    on_probation,
    redrive,
    retry,
)

NOW = 1.0
WORKERS = st.integers(0, 2)
PICK = st.integers(0, 1000)


@dataclass(eq=False)
class Copy:
    """A message with the broker; the run is what its header says."""

    run: int
    body: bytes


@dataclass(eq=False)
class Worker:
    """A process: what it has in hand dies with it."""

    id: str
    unacked: list[Copy] = field(default_factory=list)
    job: Record | None = None
    joined: list[Copy] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """A row of the outbox: a copy to the queue, or a dead letter."""

    run: int
    body: bytes
    dead: bool = False


class Life(RuleBasedStateMachine):
    """`self.record`, `outbox`, `effects` and `failures` are the database: they change together or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.born = 0
        self.workers = [self._worker() for _ in range(3)]
        self.queue: list[Copy] = []
        self.letters: list[Row] = []
        self.record: Record | None = None
        self.outbox: list[Row] = []
        self.effects: list[int] = []
        self.failures: set[int] = set()
        self.zombies: list[Worker] = []
        self.sent = {1}
        self.strangers = 0
        self.proven = 0
        self.highest = (0, 0)

    def _worker(self) -> Worker:
        self.born += 1
        return Worker(f"w{self.born}")

    @initialize(copies=st.integers(1, 3), forged=st.sampled_from([0, 0, 0, 9]))
    def publish(self, copies: int, forged: int) -> None:
        self.queue = [Copy(forged, b"first") for _ in range(copies)]

    # --- the broker -------------------------------------------------------------------

    @precondition(lambda self: not self.queue and not self._busy())
    @rule()
    def publish_again(self) -> None:
        """The publisher was not sure."""
        self.queue.append(Copy(0, b"first"))

    @precondition(lambda self: 0 < len(self.queue) < 6)
    @rule(pick=PICK)
    def duplicate(self, pick: int) -> None:
        copy = self.queue[pick % len(self.queue)]
        self.queue.append(Copy(copy.run, copy.body))

    @precondition(lambda self: self.outbox)
    @rule(pick=PICK, confirm_lost=st.booleans())
    def relay(self, pick: int, confirm_lost: bool) -> None:
        row = self.outbox[pick % len(self.outbox)]
        if row.dead:
            self.letters.append(row)
        else:
            self.queue.append(Copy(row.run, row.body))
        if not confirm_lost:
            self.outbox.remove(row)

    @precondition(lambda self: self.letters)
    @rule(pick=PICK, ack_lost=st.booleans())
    def intake(self, pick: int, ack_lost: bool) -> None:
        row = self.letters[pick % len(self.letters)]
        self.failures.add(row.run)
        if not ack_lost:
            self.letters.remove(row)

    @precondition(lambda self: self.queue)
    @rule(pick=PICK)
    def give_up(self, pick: int) -> None:
        """The broker meets its delivery limit; the intake reads the dead letter."""
        copy = self.queue[pick % len(self.queue)]
        if copy.body == b"another":
            return
        self.queue.remove(copy)
        record = entomb(self.record, self._claim(copy), "intake", NOW)
        if record is not None:
            assert self.record is None or max(copy.run, 1) >= self.record.run, "a stale copy ended its successor"
            self._store(record, sends=self.record is not None)
            self.failures.add(record.run)

    @precondition(lambda self: self.record is not None and not self.strangers)
    @rule()
    def publish_another_body(self) -> None:
        self.strangers += 1
        self.queue.append(Copy(0, b"another"))

    # --- the workers ------------------------------------------------------------------

    @precondition(lambda self: self.queue)
    @rule(pick=PICK, number=WORKERS, answer_lost=st.sampled_from([False, False, True]))
    def deliver(self, pick: int, number: int, answer_lost: bool) -> None:
        """Claim, commit, and act on the decision; or the answer of the COMMIT is lost and the claim comes again."""
        worker = self.workers[number]
        copy = self.queue.pop(pick % len(self.queue))
        decision = decide(self.record, self._claim(copy), worker.id, self._holder(worker), NOW)
        match decision:
            case Run(record):
                before = self.record
                assert copy.body == record.body_hash, "another body ran under this id"
                if before is not None:
                    assert record.token > before.token, "two claims under one token"
                    assert before.state is State.RUNNING or copy.run >= before.run, "a copy jumped its backoff"
                self._store(record)
                if not answer_lost:
                    worker.job, worker.joined = record, []
                    worker.unacked.append(copy)
                    return
            case Bury(record):
                self._store(record, sends=True)
                self.outbox.append(Row(record.run, copy.body, dead=True))
                assert self.proven >= 3, "buried though no three workers died with it as their only suspect"
            case Park():
                self.outbox.append(Row(copy.run, copy.body))
            case Conflict():
                assert self.record is not None
                assert copy.body != self.record.body_hash
            case Join():
                assert worker.job is not None
                worker.unacked.append(copy)
                return
            case Skip():
                assert self.record is not None
                assert self.record.state is not State.RUNNING or copy.run < self.record.run
        if answer_lost:
            self.queue.append(copy)

    @precondition(lambda self: self._busy())
    @rule(pick=PICK)
    def suspect(self, pick: int) -> None:
        worker = self._busy()[pick % len(self._busy())]
        if worker.job is not None and self._holds(worker):
            worker.job = self.record = on_probation(worker.job, NOW)

    @precondition(lambda self: self._busy())
    @rule(
        pick=PICK,
        how=st.sampled_from([finish, retry, retry, bury]),
        end=st.sampled_from(["ack", "ack", "before", "after"]),
    )
    def settle(self, pick: int, how: object, end: str) -> None:
        """The handler ended. The worker may die before the commit, or after it and before the ack."""
        worker = self._busy()[pick % len(self._busy())]
        if end != "before":
            self._commit(worker, how)
        if end == "ack":
            worker.unacked, worker.job = [], None
        else:
            self.die(worker)

    @precondition(lambda self: self._busy())
    @rule(pick=PICK, what=st.sampled_from(["die", "seem dead", "lose connection"]))
    def trouble(self, pick: int, what: str) -> None:
        worker = self._busy()[pick % len(self._busy())]
        if what == "seem dead":  # taken for dead it lives: its outcome comes late, and must not count then
            self.zombies.append(worker)
        if what == "lose connection":  # the broker gives the copies to others while the handler goes on
            self.queue.extend(worker.unacked)
            worker.unacked = []
        else:
            self.die(worker)

    @precondition(lambda self: self.zombies)
    @rule(pick=PICK, how=st.sampled_from([finish, retry, bury]))
    def settle_late(self, pick: int, how: object) -> None:
        zombie = self.zombies.pop(pick % len(self.zombies))
        if zombie.job is not None:
            self._commit(zombie, how)

    def die(self, worker: Worker) -> None:
        """It may have been the guilty one: that is proven only while it ran its only suspect."""
        if worker.job is not None and self._holds(worker) and worker.job.probation:
            self.proven += 1
        self.queue.extend(worker.unacked)
        self.workers[self.workers.index(worker)] = self._worker()

    def _busy(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.job is not None]

    @precondition(lambda self: self.record is not None and self.record.state is State.DEAD)
    @rule(edited=st.sampled_from([None, None, b"edited"]))
    def redrive(self, edited: bytes | None) -> None:
        assert self.record is not None
        if self.record.run in self.failures:
            self._store(redrive(self.record, NOW, edited), sends=True)
            self.proven = 0
            self._send()

    # --- the database -----------------------------------------------------------------

    def _commit(self, worker: Worker, how: object) -> None:
        assert worker.job is not None
        if not self._holds(worker):
            return  # fenced: another token, or no longer running
        if how is finish:
            self._store(finish(worker.job, NOW))
            self.effects.append(worker.job.run)
        elif how is retry:
            self._store(retry(worker.job, NOW), sends=True)
            self._send()
        else:
            self._store(bury(worker.job, NOW), sends=True)
            self._send(dead=True)

    def _store(self, record: Record, sends: bool = False) -> None:
        """Write the record. What sends the message again does so under a run of its own."""
        self.record = record
        if sends:
            assert record.run not in self.sent, f"the run {record.run} was sent twice"
            self.sent.add(record.run)

    def _send(self, dead: bool = False) -> None:
        assert self.record is not None
        self.outbox.append(Row(self.record.run, self.record.body_hash, dead))

    def _holds(self, worker: Worker) -> bool:
        """The fence: what `settle` asks for in its WHERE."""
        return (
            self.record is not None
            and worker.job is not None
            and self.record.state is State.RUNNING
            and self.record.token == worker.job.token
        )

    def _claim(self, copy: Copy) -> Claim:
        return Claim("q", "1", copy.run, copy.body)

    def _holder(self, worker: Worker) -> Holder:
        if self.record is None or self.record.worker not in {each.id for each in self.workers}:
            return Holder.DEAD
        if self.record.worker == worker.id:
            return Holder.SELF if worker.job is not None else Holder.FORGOTTEN
        return Holder.ALIVE

    # --- what must hold ---------------------------------------------------------------

    @invariant()
    def one_effect(self) -> None:
        assert len(self.effects) <= 1, f"the effect was committed in the runs {self.effects}"

    @invariant()
    def one_holder(self) -> None:
        assert sum(self._holds(worker) for worker in (*self.workers, *self.zombies)) <= 1

    @invariant()
    def runs_and_tokens_never_fall(self) -> None:
        if self.record is not None:
            assert (self.record.run, self.record.token) >= self.highest
            assert self.record.token >= self.highest[1]
            self.highest = (self.record.run, self.record.token)

    @invariant()
    def the_message_is_in_a_known_place(self) -> None:
        copies = [*self.queue, *(copy for worker in self.workers for copy in worker.unacked)]
        copies += [Copy(row.run, row.body) for row in self.outbox if not row.dead]
        record = self.record
        if record is None:
            assert copies or not self.born
        elif record.state is State.DEAD:
            letters = {row.run for row in (*self.outbox, *self.letters) if row in self.letters or row.dead}
            assert record.run in letters | self.failures, "dead, and nowhere to be found"
        elif record.state is not State.DONE:
            wake = [decide(record, self._claim(copy), "other", Holder.DEAD, NOW) for copy in copies]
            assert any(isinstance(decision, Run | Bury) for decision in wake), "waiting for a message that is not there"

    def teardown(self) -> None:
        """When no more goes wrong everything comes to rest: handled or dead, and nothing left over."""
        for worker in list(self.workers):
            self.die(worker)
        for _ in range(200):
            while self.outbox:
                self.relay(0, False)
            while self.letters:
                self.intake(0, False)
            if not self.queue:
                break
            self.deliver(0, 0, False)
            if self._busy():
                self.settle(0, finish, "ack")
        assert not self.queue, "copies go round for ever"
        if self.record is not None:
            assert self.record.state in (State.DONE, State.DEAD)
            assert self.record.state is State.DONE or self.record.run in self.failures, "dead, and nowhere to be found"
            assert len(self.effects) == (self.record.state is State.DONE)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
