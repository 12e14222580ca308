"""What a redrive may do with a failure is decided by its record."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from engine.model.failure import Status
from engine.model.record import Claim, Holder, Record, Run, State, decide
from engine.model.verdict import MEANING, SENT, Verdict, judge, revived

RECORD = Record("q", "e", State.DEAD, 2, 4, 4, "w", b"hash", 1, False, 10.0, 20.0)


class Failed(NamedTuple):
    queue: str = "q"
    event_id: str = "e"
    run: int = 2
    body_hash: bytes = b"hash"
    status: Status = Status.OPEN


def test_a_dead_message_of_the_same_run_is_ready() -> None:
    assert judge(Failed(), RECORD) is Verdict.READY


def test_a_message_that_succeeded_is_left_alone_unless_told_otherwise() -> None:
    done = RECORD._replace(state=State.DONE, run=3)
    assert judge(Failed(), done) is Verdict.SUCCEEDED
    assert judge(Failed(), done, again=True) is Verdict.READY


@pytest.mark.parametrize("state", [State.RUNNING, State.WAITING])
def test_a_message_that_is_on_its_way_is_left_alone(state: State) -> None:
    for again in (False, True):
        assert judge(Failed(), RECORD._replace(state=state, run=3), again=again) is Verdict.SUPERSEDED


def test_a_failure_with_a_newer_failure_is_left_alone() -> None:
    assert judge(Failed(), RECORD._replace(run=4)) is Verdict.SUPERSEDED


def test_another_body_under_the_id_is_a_conflict() -> None:
    assert judge(Failed(body_hash=b"other"), RECORD) is Verdict.CONFLICT
    assert judge(Failed(body_hash=b"other"), RECORD._replace(state=State.DONE), again=True) is Verdict.CONFLICT


def test_what_was_sent_with_an_edited_body_is_no_conflict() -> None:
    failed = Failed(status=Status.REDRIVEN)
    record = revived(failed, RECORD, 30.0, b"edited")
    assert record.body_hash == b"edited"
    assert judge(failed, record) is Verdict.SUPERSEDED


def test_without_a_record_only_an_open_failure_is_sent() -> None:
    assert judge(Failed(), None) is Verdict.FORGOTTEN
    assert judge(Failed(status=Status.REDRIVEN), None) is Verdict.SUPERSEDED


def test_an_archived_failure_stays_where_it_is() -> None:
    assert judge(Failed(status=Status.ARCHIVED), RECORD) is Verdict.ARCHIVED


def test_a_revived_record_runs_once_and_makes_the_failure_superseded() -> None:
    record = revived(Failed(), RECORD, 30.0)
    assert (record.state, record.run, record.attempts, record.deaths) == (State.WAITING, 3, 0, 0)
    assert record.created == 30.0
    assert judge(Failed(), record) is Verdict.SUPERSEDED
    decision = decide(record, Claim("q", "e", 3, b"hash"), "w2", Holder.SELF, 31.0)
    assert isinstance(decision, Run)
    assert decision.record.attempts == 1


def test_a_forgotten_record_is_made_again_above_the_failure() -> None:
    record = revived(Failed(run=6), None, 30.0)
    assert (record.state, record.run, record.body_hash) == (State.WAITING, 7, b"hash")


def test_every_verdict_has_words() -> None:
    assert set(MEANING) == set(Verdict)
    assert all(verdict in MEANING for verdict in SENT)
