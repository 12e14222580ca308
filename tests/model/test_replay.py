"""What a replay may do with an event, by its record in the handler's queue."""

from __future__ import annotations

import pytest

from engine.model.record import STALE, Claim, Holder, Record, Run, State, decide
from engine.model.replay import MEANING, SENT, Verdict, judge, replayed

HASH = b"h" * 16


def record(state: State, run: int = 3, body_hash: bytes = HASH) -> Record:
    return Record("q", "e-1", state, run, 2, 5, "w-1", body_hash, 1, True, 10.0, 20.0)


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (State.DONE, Verdict.HANDLED),
        (State.DEAD, Verdict.FAILED),
        (State.WAITING, Verdict.WAITING),
        (State.RUNNING, Verdict.RUNNING),
    ],
)
def test_what_ended_runs_again_and_what_is_under_way_is_left_alone(state: State, verdict: Verdict) -> None:
    assert judge(record(state), HASH) is verdict
    assert (verdict in SENT) is (state in (State.DONE, State.DEAD))


def test_without_a_record_it_is_new_and_another_body_is_a_conflict() -> None:
    assert judge(None, None) is Verdict.NEW
    assert judge(record(State.DONE), b"other") is Verdict.CONFLICT
    assert set(MEANING) == set(Verdict)


def test_the_run_is_raised_and_attempts_begin_anew() -> None:
    made = replayed(record(State.DONE), "q", "e-1", HASH, 99.0)
    assert (made.state, made.run, made.attempts, made.deaths, made.probation) == (State.WAITING, 4, 0, 0, False)
    assert (made.created, made.updated, made.token) == (99.0, 99.0, 5)
    again = decide(made, Claim("q", "e-1", made.run, HASH), "w-2", Holder.DEAD, 100.0)
    assert isinstance(again, Run)
    assert again.record.attempts == 1


def test_a_first_copy_that_is_still_on_its_way_is_stale() -> None:
    made = replayed(None, "q", "e-1", HASH, 99.0)
    assert decide(made, Claim("q", "e-1", 0, HASH), "w-2", Holder.DEAD, 100.0) == STALE
    assert isinstance(decide(made, Claim("q", "e-1", made.run, HASH), "w-2", Holder.DEAD, 100.0), Run)
