from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.record import (
    DUPLICATE,
    MAX_DEATHS,
    STALE,
    Bury,
    Claim,
    Conflict,
    Decision,
    Holder,
    Join,
    Park,
    Record,
    Run,
    State,
    bury,
    decide,
    entomb,
    finish,
    on_probation,
    redrive,
    retry,
)

HASH = b"h" * 16


def claim(run: int = 0, body_hash: bytes = HASH) -> Claim:
    return Claim("q", "1", run, body_hash)


def running(**changes: Any) -> Record:
    record = Record("q", "1", State.RUNNING, 1, 1, 1, "w", HASH, 0, False, 5.0, 5.0)
    return record._replace(**changes)


def decided(record: Record | None, wanted: Claim, holder: Holder = Holder.DEAD) -> Decision:
    return decide(record, wanted, "me", holder, 9.0)


def run_of(decision: Decision) -> Run:
    assert isinstance(decision, Run)
    return decision


@pytest.mark.parametrize("run", [0, 1, 7])
def test_a_new_message_runs_for_the_first_time_whatever_its_header_says(run: int) -> None:
    record = run_of(decided(None, claim(run))).record
    assert record == Record("q", "1", State.RUNNING, 1, 1, 1, "me", HASH, 0, False, 9.0, 9.0)


def test_a_retried_message_runs_again_under_its_next_run_and_token() -> None:
    waiting = retry(running(), 7.0)
    assert (waiting.state, waiting.run) == (State.WAITING, 2)
    again = run_of(decided(waiting, claim(2))).record
    assert (again.state, again.run, again.attempts, again.token, again.worker) == (State.RUNNING, 2, 2, 2, "me")


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("holder", list(Holder))
def test_a_copy_with_a_successor_is_stale(state: State, holder: Holder) -> None:
    assert decided(running(state=state, run=3), claim(2), holder) == STALE


@pytest.mark.parametrize("run", [0, 1])
def test_what_was_handled_or_given_up_is_a_duplicate(run: int) -> None:
    assert decided(finish(running(), 7.0), claim(run)) == DUPLICATE
    dead = bury(running(), 7.0)
    assert decided(dead, claim(0)) == DUPLICATE
    assert decided(dead, claim(dead.run)) == DUPLICATE


def test_a_first_copy_does_not_jump_the_backoff_of_its_retry() -> None:
    assert decided(retry(running(), 7.0), claim(0)) == STALE


@pytest.mark.parametrize("state", list(State))
def test_another_body_under_the_same_id_is_a_conflict(state: State) -> None:
    assert decided(running(state=state), claim(0, b"other")) == Conflict()
    assert decided(running(state=state), claim(1, b"other")) == Conflict()


def test_who_has_it_in_hand_decides_about_a_copy_of_what_runs() -> None:
    assert decided(running(), claim(), Holder.SELF) == Join()
    assert decided(running(), claim(), Holder.ALIVE) == Park()
    lost = run_of(decided(running(), claim(), Holder.FORGOTTEN))
    assert (lost.suspect, lost.record.token, lost.record.attempts) == (False, 2, 1)
    dead = run_of(decided(running(), claim(), Holder.DEAD))
    assert (dead.suspect, dead.record.token, dead.record.attempts, dead.record.deaths) == (True, 2, 1, 0)


def test_only_deaths_as_sole_suspect_count_and_the_last_one_buries() -> None:
    record = running()
    for _ in range(10):  # never the sole suspect: nothing is proven
        record = run_of(decided(record, claim())).record
    assert record.deaths == 0
    for deaths in range(1, MAX_DEATHS):
        record = run_of(decided(on_probation(record, 8.0), claim())).record
        assert (record.deaths, record.probation) == (deaths, False)
    decision = decided(on_probation(record, 8.0), claim())
    assert isinstance(decision, Bury)
    assert (decision.record.state, decision.record.run) == (State.DEAD, 2)
    assert decision.record.token > record.token


def test_a_redrive_starts_anew_also_with_another_body() -> None:
    dead = bury(running(attempts=4, deaths=3), 7.0)
    waiting = redrive(dead, 8.0, b"edited")
    assert (waiting.state, waiting.run, waiting.attempts, waiting.deaths) == (State.WAITING, 3, 0, 0)
    assert decided(waiting, claim(2)) == STALE
    again = run_of(decided(waiting, claim(3, b"edited"))).record
    assert again.attempts == 1
    assert redrive(dead, 8.0).body_hash == HASH


def test_a_dead_letter_of_the_broker_ends_what_it_belongs_to() -> None:
    fresh = entomb(None, claim(), "w", 9.0)
    assert fresh is not None
    assert (fresh.state, fresh.run, fresh.attempts) == (State.DEAD, 1, 0)
    ended = entomb(running(), claim(), "w", 9.0)
    assert ended is not None
    assert (ended.state, ended.run, ended.token) == (State.DEAD, 2, 2)


@pytest.mark.parametrize("record", [finish(running(), 1.0), bury(running(), 1.0), retry(running(), 1.0)])
def test_a_dead_letter_of_the_broker_with_no_consequence(record: Record) -> None:
    assert entomb(record, claim(0), "w", 9.0) is None


records = st.builds(
    running,
    state=st.sampled_from(State),
    run=st.integers(1, 5),
    attempts=st.integers(0, 5),
    token=st.integers(1, 9),
    deaths=st.integers(0, MAX_DEATHS - 1),
    probation=st.booleans(),
)


@given(records, st.integers(0, 6), st.sampled_from(Holder), st.sampled_from([HASH, b"other"]))
def test_no_decision_lets_a_run_fall_or_a_token_stand(record: Record, run: int, holder: Holder, body: bytes) -> None:
    decision = decided(record, claim(run, body), holder)
    if isinstance(decision, Run | Bury):
        after = decision.record
        assert after.token > record.token
        assert after.run >= record.run
        assert (after.queue, after.event_id, after.created) == (record.queue, record.event_id, record.created)
        assert not after.probation
        assert after.body_hash == body
        assert isinstance(decision, Bury) or after.state is State.RUNNING
        assert record.state not in (State.DONE, State.DEAD)
        assert record.state is not State.RUNNING or holder in (Holder.DEAD, Holder.FORGOTTEN)


@given(records)
def test_whatever_sends_a_message_again_raises_its_run(record: Record) -> None:
    for after in (retry(record, 9.0), bury(record, 9.0), redrive(record, 9.0)):
        assert after.run == record.run + 1
        assert after.token == record.token
        assert after.updated == 9.0
    done = finish(record, 9.0)
    assert (done.run, done.token, done.state) == (record.run, record.token, State.DONE)
