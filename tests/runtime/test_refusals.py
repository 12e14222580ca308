"""What a refusal means for a due message: wait, or give up."""

from __future__ import annotations

import pytest

from engine.errors import BrokerError, ExchangeMissing, PublishRefused, Unroutable
from engine.model import delay
from engine.model.message import Delivery, Message, Publication
from engine.runtime.refusals import LOOKS, REFUSED_DELAY, Due, Hopeless, decide

NOW = 1_800_000_000.0
COMMAND = Publication("", "shop.gone", Message(b"{}", {"tenant": "a"}, message_id="e-1"))


def due(target: Publication = COMMAND, when: float = NOW) -> Due:
    return Due(Delivery("shop.due", target.message, 1), target, when)


def look(one: Due, error: BrokerError) -> Due:
    """Refused, sent to a rung, and back from it."""
    waiting = decide(one, error, NOW)
    assert isinstance(waiting, Due)
    assert waiting.when == NOW + REFUSED_DELAY
    sent = delay.plan("shop", waiting.target, waiting.when, NOW)
    target, when = delay.unwrap(Delivery("shop.due", sent.message, 1))
    assert when == waiting.when
    return Due(waiting.delivery, target, NOW)


@pytest.mark.parametrize(
    ("target", "error", "said"),
    [
        (COMMAND, Unroutable("no"), "The queue 'shop.gone' was not on the broker"),
        (
            Publication("events", "a.b", Message(b"")),
            ExchangeMissing("no"),
            "The exchange 'events' was not on the broker",
        ),
        (
            Publication("events", "a.b", Message(b"")),
            Unroutable("no"),
            "No queue took 'a.b' from the exchange 'events'",
        ),
    ],
)
def test_a_target_that_stays_away_is_given_up_after_about_a_minute(
    target: Publication, error: BrokerError, said: str
) -> None:
    one = due(target)
    for _ in range(LOOKS - 1):
        one = look(one, error)
    given_up = decide(one, error, NOW)
    assert isinstance(given_up, Hopeless)
    assert given_up.reason == "unroutable"
    assert given_up.detail.startswith(f"{said} at {LOOKS} looks in 55 s.")


def test_only_looks_in_a_row_count_and_a_full_queue_is_waited_for() -> None:
    one = due()
    for _ in range(LOOKS - 1):
        one = look(one, Unroutable("no"))
    one = look(one, PublishRefused("full"))
    for _ in range(LOOKS - 1):
        one = look(one, Unroutable("no"))
    for _ in range(3 * LOOKS):
        one = look(one, PublishRefused("full"))
    arrived = delay.plan("shop", one.target, NOW, NOW)
    assert arrived == COMMAND, "the target sees nothing of it"


def test_a_missing_rung_says_nothing_of_the_target_and_keeps_the_time() -> None:
    one = due(when=NOW + 3600)
    for _ in range(2 * LOOKS):
        answer = decide(one, Unroutable("no rung"), NOW)
        assert answer == one
    soon = decide(due(when=NOW + 1), Unroutable("no rung"), NOW)
    assert isinstance(soon, Due)
    assert soon.when == NOW + REFUSED_DELAY


def test_what_no_broker_can_take_is_given_up_at_once() -> None:
    answer = decide(due(), PublishRefused("larger than RabbitMQ takes", lasting=True), NOW)
    assert answer == Hopeless(due(), "unpublishable", "larger than RabbitMQ takes")
