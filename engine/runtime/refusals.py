"""What becomes of due messages that were refused: they wait on a rung, or they become failures.

A queue that is full takes its messages later, so those wait for as long as it takes. A target that is
not there may be declared in a moment, by a worker that starts or by this one; one that stays away
for `LOOKS` looks has gone, and who sent the message is told so by a failure that can be redriven.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.errors import BrokerError, ExchangeMissing, PublishRefused, Unroutable
from engine.model import delay
from engine.model.message import Delivery, Publication

#: Seconds on a rung for a message whose target refused it.
REFUSED_DELAY = 5.0
#: Looks in a row that did not find its target, until a message is given up: about a minute.
LOOKS = 12

#: What such failures say for their reason: the target is gone, or no broker can ever take the message.
UNROUTABLE, UNPUBLISHABLE = "unroutable", "unpublishable"


class Due(NamedTuple):
    """A due message: its target, and when it was to be there (seconds since the epoch)."""

    delivery: Delivery
    target: Publication
    when: float


class Hopeless(NamedTuple):
    """A due message that is given up: the reason of its failure, and what happened."""

    due: Due
    reason: str
    detail: str


def decide(due: Due, error: BrokerError, now: float) -> Due | Hopeless:
    """Whether the message waits once more (the answer says until when), or is given up.

    A rung that is missing says nothing of the target: it is declared again, and the message keeps its time.
    """
    if isinstance(error, PublishRefused) and error.lasting:
        return Hopeless(due, UNPUBLISHABLE, error.message)
    target = due.target
    missing = isinstance(error, (Unroutable, ExchangeMissing))
    if due.when - now <= delay.EARLY:
        looks = delay.missed(target) + 1 if missing else 0
        if looks >= LOOKS:
            span = (LOOKS - 1) * REFUSED_DELAY
            what = _missing(target, error)
            return Hopeless(due, UNROUTABLE, f"{what} at {looks} looks in {span:g} s. Redrive it once that is there.")
        target = delay.with_missed(target, looks)
    return Due(due.delivery, target, max(due.when, now + REFUSED_DELAY))


def _missing(target: Publication, error: BrokerError) -> str:
    if not target.exchange:
        return f"The queue {target.routing_key!r} was not on the broker"
    if isinstance(error, ExchangeMissing):
        return f"The exchange {target.exchange!r} was not on the broker"
    return f"No queue took {target.routing_key!r} from the exchange {target.exchange!r}"
