"""Retry as a value: after a failed attempt, either a delay or a dead letter.

The strategies are tenacity's (`tenacity.wait`, `tenacity.stop`, `tenacity.retry`), used
without its loop: the wait happens in the broker, so no strategy ever sleeps here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from engine.errors import ConfigurationError, DecodingError, Reject, RetryLater

if TYPE_CHECKING:
    from tenacity import RetryCallState
    from tenacity.retry import RetryBaseT
    from tenacity.stop import StopBaseT
    from tenacity.wait import WaitBaseT

#: The longest delay between two attempts, in seconds (30 days).
LONGEST_DELAY = 30 * 24 * 3600.0


class RetryAfter(NamedTuple):
    """Try again after `delay` seconds."""

    delay: float


class DeadLetter(NamedTuple):
    """Give up, for this reason: `rejected`, `unreadable`, `not retried`, `attempts exhausted`, `stopped`."""

    reason: str


RetryDecision: TypeAlias = RetryAfter | DeadLetter


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed message is tried again, and when it is given up.

    By default three retries (four attempts), after up to 1, 2 and 4 seconds: doubling from
    `initial`, at most `maximum`, with full jitter (a delay between zero and that; source:
    "Exponential Backoff and Jitter", AWS Architecture Blog). All delays are in seconds.

    `wait`, `stop` and `retry` take tenacity's strategies instead: `wait` replaces the
    backoff, `stop` replaces `max_attempts` unless that is given too (then the first of the two ends
    it), and `retry` says which errors are retried at all.

    `rules` are policies of their own for kinds of errors; the one for the nearest class
    counts: `rules={ConnectionError: RetryPolicy(max_attempts=10), ValueError: NEVER}`. The attempts
    of a message are counted together, whatever they failed with.

    >>> RetryPolicy(max_attempts=2, jitter=False).decide(1, ValueError(), elapsed=0.0, u=0.5)
    RetryAfter(delay=1.0)
    """

    max_attempts: int | None = None
    initial: float = 1.0
    multiplier: float = 2.0
    maximum: float = 60.0
    jitter: bool = True
    wait: WaitBaseT | None = None
    stop: StopBaseT | None = None
    retry: RetryBaseT | None = None
    rules: Mapping[type[Any], RetryPolicy] = field(default_factory=dict["type[Any]", "RetryPolicy"], hash=False)

    def __post_init__(self) -> None:
        if self.max_attempts is not None and self.max_attempts < 1:
            raise ConfigurationError(
                f"max_attempts is {self.max_attempts}", hint="It counts the first attempt too: 1 means no retry."
            )
        if not (0 <= self.initial <= LONGEST_DELAY and 0 <= self.maximum <= LONGEST_DELAY and self.multiplier >= 1):
            raise ConfigurationError(
                f"A retry policy with initial={self.initial}, maximum={self.maximum}, multiplier={self.multiplier}",
                hint=f"Delays are seconds between 0 and {LONGEST_DELAY:.0f}, and the multiplier is at least 1.",
            )
        _check_rules(self.rules)

    @property
    def attempts(self) -> int | None:
        """How many attempts a message gets at most; None where a `stop` strategy alone decides."""
        limits = [self._limit, *(rule.attempts for rule in self.rules.values())]
        return None if None in limits else max(limit for limit in limits if limit is not None)

    @property
    def _limit(self) -> int | None:
        if self.max_attempts is None:
            return 4 if self.stop is None else None
        return self.max_attempts

    def decide(self, attempt: int, error: BaseException, elapsed: float, u: float) -> RetryDecision:
        """What follows a failed attempt.

        `attempt` counts from 1, `elapsed` is in seconds since the first attempt began, and `u` in
        [0, 1) is the randomness of the jitter. A strategy that raises or answers no number raises
        `ConfigurationError`.
        """
        if isinstance(error, Reject):
            return DeadLetter("rejected")
        if isinstance(error, DecodingError):
            return DeadLetter("unreadable")
        rule = self._rule(error)
        if rule is not None:
            return DeadLetter("not retried") if rule is NEVER else rule.decide(attempt, error, elapsed, u)
        state = self._state(attempt, error, elapsed) if self.wait or self.stop or self.retry else None
        if state is not None and self.retry is not None and not _ask(self.retry, state):
            return DeadLetter("not retried")
        if self._limit is not None and attempt >= self._limit:
            return DeadLetter("attempts exhausted")
        delay = self._delay(attempt, error, state, u)
        if state is not None and self.stop is not None:
            state.upcoming_sleep = delay
            if _ask(self.stop, state):
                return DeadLetter("stopped")
        return RetryAfter(delay)

    def _rule(self, error: BaseException) -> RetryPolicy | None:
        if not self.rules:
            return None
        return next((self.rules[kind] for kind in type(error).__mro__ if kind in self.rules), None)

    def _delay(self, attempt: int, error: BaseException, state: RetryCallState | None, u: float) -> float:
        if isinstance(error, RetryLater):
            return _checked(error.delay)
        if self.wait is not None and state is not None:
            return _checked(_ask(self.wait, state))
        # The exponent is bounded so that a thousandth attempt does not overflow.
        ceiling = min(self.maximum, self.initial * self.multiplier ** min(attempt - 1, 64))
        return ceiling * u if self.jitter else ceiling

    def _state(self, attempt: int, error: BaseException, elapsed: float) -> RetryCallState:
        import tenacity

        state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
        outcome = tenacity.Future(attempt)
        outcome.set_exception(error)
        state.start_time = 0.0
        state.attempt_number = attempt
        state.outcome = outcome
        state.outcome_timestamp = elapsed
        return state


def _check_rules(rules: Mapping[Any, Any]) -> None:
    for kind, rule in rules.items():
        if not isinstance(kind, type) or not issubclass(kind, BaseException):
            raise ConfigurationError(f"A retry rule for {kind!r}", hint="Rules are given by classes of exceptions.")
        if not isinstance(rule, RetryPolicy) or rule.rules:
            raise ConfigurationError(
                f"The retry rule for {kind.__name__} is not a plain RetryPolicy",
                hint="Write a RetryPolicy without rules of its own, or NEVER.",
            )


def _ask(strategy: Any, state: RetryCallState) -> Any:
    try:
        return strategy(state)
    except Exception as error:
        raise ConfigurationError(
            f"The retry strategy {type(strategy).__name__} raised {type(error).__name__}: {error}",
            hint="A strategy is called with a tenacity.RetryCallState and must not raise.",
        ) from error


def _checked(delay: object) -> float:
    if not isinstance(delay, int | float) or math.isnan(delay) or delay < 0:
        raise ConfigurationError(f"A retry delay of {delay!r}", hint="A delay is a number of seconds, zero or more.")
    return min(float(delay), LONGEST_DELAY)


#: In `rules`: such an error is not retried at all.
NEVER = RetryPolicy(max_attempts=1)
