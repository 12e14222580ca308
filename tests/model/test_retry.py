"""Retry decisions: the default, tenacity's strategies, and what is never retried."""

from __future__ import annotations

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigurationError, DecodingError, Reject, RetryLater
from engine.model.retry import LONGEST_DELAY, NEVER, DeadLetter, RetryAfter, RetryPolicy


def test_the_default_gives_three_retries_that_double() -> None:
    policy = RetryPolicy(jitter=False)
    answers = [policy.decide(attempt, ValueError(), 0.0, 0.0) for attempt in (1, 2, 3, 4)]
    assert answers == [RetryAfter(1.0), RetryAfter(2.0), RetryAfter(4.0), DeadLetter("attempts exhausted")]


@given(attempt=st.integers(1, 10_000), u=st.floats(0, 1, exclude_max=True))
def test_a_jittered_delay_lies_between_zero_and_the_backoff(attempt: int, u: float) -> None:
    policy = RetryPolicy(max_attempts=100_000)
    answer = policy.decide(attempt, ValueError(), 0.0, u)
    assert isinstance(answer, RetryAfter)
    assert 0 <= answer.delay <= min(60.0, 2.0 ** min(attempt - 1, 10))
    assert answer.delay == pytest.approx(u * min(60.0, 2.0 ** min(attempt - 1, 10)))


@pytest.mark.parametrize(("error", "reason"), [(Reject("no"), "rejected"), (DecodingError("bad"), "unreadable")])
def test_some_errors_are_never_retried(error: Exception, reason: str) -> None:
    assert RetryPolicy().decide(1, error, 0.0, 0.5) == DeadLetter(reason)


def test_a_handler_chooses_its_own_delay_but_not_more_attempts() -> None:
    assert RetryPolicy().decide(1, RetryLater(300), 0.0, 0.5) == RetryAfter(300.0)
    assert RetryPolicy().decide(4, RetryLater(300), 0.0, 0.5) == DeadLetter("attempts exhausted")


def test_tenacity_chooses_the_wait() -> None:
    policy = RetryPolicy(wait=tenacity.wait_fixed(7) + tenacity.wait_incrementing(start=1, increment=2))
    assert policy.decide(2, ValueError(), 0.0, 0.0) == RetryAfter(10.0)


def test_tenacity_chooses_the_stop_and_replaces_the_default_count() -> None:
    policy = RetryPolicy(stop=tenacity.stop_after_attempt(6), wait=tenacity.wait_fixed(1))
    assert policy.attempts is None
    assert policy.decide(5, ValueError(), 0.0, 0.0) == RetryAfter(1.0)
    assert policy.decide(6, ValueError(), 0.0, 0.0) == DeadLetter("stopped")


def test_a_stop_before_a_delay_sees_the_delay_to_come() -> None:
    policy = RetryPolicy(stop=tenacity.stop_before_delay(10), wait=tenacity.wait_fixed(4))
    assert policy.decide(1, ValueError(), 5.0, 0.0) == RetryAfter(4.0)
    assert policy.decide(2, ValueError(), 6.5, 0.0) == DeadLetter("stopped")


def test_a_stop_after_a_time_sees_the_time_since_the_first_attempt() -> None:
    policy = RetryPolicy(stop=tenacity.stop_after_delay(30))
    assert isinstance(policy.decide(1, ValueError(), 29.0, 0.0), RetryAfter)
    assert policy.decide(1, ValueError(), 30.0, 0.0) == DeadLetter("stopped")


def test_tenacity_chooses_which_errors_are_retried() -> None:
    policy = RetryPolicy(retry=tenacity.retry_if_exception_type(OSError))
    assert isinstance(policy.decide(1, ConnectionError(), 0.0, 0.5), RetryAfter)
    assert policy.decide(1, ValueError(), 0.0, 0.5) == DeadLetter("not retried")


def test_an_unbounded_wait_is_capped() -> None:
    policy = RetryPolicy(max_attempts=100, wait=tenacity.wait_exponential(multiplier=1, max=1e18))
    assert policy.decide(90, ValueError(), 0.0, 0.0) == RetryAfter(LONGEST_DELAY)


@pytest.mark.parametrize("delay", [float("nan"), -1, "soon", None])
def test_a_wait_that_is_no_number_is_refused(delay: object) -> None:
    policy = RetryPolicy(wait=lambda state: delay)  # type: ignore[arg-type, return-value]
    with pytest.raises(ConfigurationError, match="A retry delay of"):
        policy.decide(1, ValueError(), 0.0, 0.0)


@pytest.mark.parametrize(
    "options", [{"max_attempts": 0}, {"initial": -1}, {"multiplier": 0.5}, {"maximum": float("inf")}]
)
def test_a_policy_that_cannot_be_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        RetryPolicy(**options)  # type: ignore[arg-type]


def test_a_rule_of_the_nearest_class_decides() -> None:
    policy = RetryPolicy(
        max_attempts=2,
        jitter=False,
        rules={
            OSError: RetryPolicy(max_attempts=6, initial=30, jitter=False),
            ConnectionError: RetryPolicy(max_attempts=3, initial=5, jitter=False),
            ValueError: NEVER,
        },
    )
    assert policy.decide(1, KeyError(), 0.0, 0.0) == RetryAfter(1.0)
    assert policy.decide(1, PermissionError(), 0.0, 0.0) == RetryAfter(30.0)
    assert policy.decide(1, ConnectionResetError(), 0.0, 0.0) == RetryAfter(5.0)
    assert policy.decide(1, UnicodeError(), 0.0, 0.0) == DeadLetter("not retried")
    # The attempts of a message are counted together.
    assert policy.decide(3, ConnectionError(), 0.0, 0.0) == DeadLetter("attempts exhausted")
    assert isinstance(policy.decide(3, OSError(), 0.0, 0.0), RetryAfter)
    assert policy.decide(3, KeyError(), 0.0, 0.0) == DeadLetter("attempts exhausted")
    assert policy.attempts == 6
    assert policy.decide(1, Reject("no"), 0.0, 0.0) == DeadLetter("rejected")
    assert policy.decide(1, RetryLater(9), 0.0, 0.0) == RetryAfter(9.0)


def test_a_rule_without_a_limit_leaves_the_policy_without_one() -> None:
    assert RetryPolicy(rules={OSError: RetryPolicy(stop=tenacity.stop_never)}).attempts is None


def test_policies_with_rules_are_values() -> None:
    rules = {OSError: NEVER}
    assert RetryPolicy(rules=rules) == RetryPolicy(rules=dict(rules)) != RetryPolicy()
    assert hash(RetryPolicy(rules=rules)) == hash(RetryPolicy(rules=rules))


@pytest.mark.parametrize(
    "rules", [{"OSError": NEVER}, {int: NEVER}, {OSError: 3}, {OSError: RetryPolicy(rules={OSError: NEVER})}]
)
def test_a_rule_that_cannot_be_is_refused(rules: dict[object, object]) -> None:
    with pytest.raises(ConfigurationError, match="retry rule"):
        RetryPolicy(rules=rules)  # type: ignore[arg-type]
