"""Delays of any length on a fixed ladder of broker queues, the rungs.

Each rung is a queue with one uniform TTL, so nothing in it expires out of order. What
expires goes to the `due` queue, where a worker sends it to its target or, if it is still
early, to the next rung. A header holds the absolute due time, so lateness never adds up.

The rungs are powers of two times 250 ms, so a delay takes as many hops as its length, in
units of 250 ms, has ones in binary. A delay that need not be exact (a retry's, which is
random anyway) may be up to a tenth late, and so takes the cheapest length within
that tenth: four hops at most and two or three on average, up to 36 h. Beyond that
come the hops of 36 h each.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from engine.errors import DecodingError, UsageError
from engine.model.headers import (
    CANCELLABLE,
    DELAY_HEADERS,
    DUE,
    EXCHANGE,
    MISSED,
    ROUTING_KEY,
    RUN,
    SLACK,
    TARGET_EXCHANGE,
    TARGET_KEY,
    TARGET_OPTIONAL,
    clean,
    read_int,
)
from engine.model.message import Delivery, Headers, HeaderValue, Message, Publication

#: The longest delay of what is published or emitted, in seconds (ten years).
LONGEST: Final = 10 * 366 * 24 * 3600.0

#: The TTL of the shortest rung, in milliseconds. A delay is late by at most this.
SMALLEST: Final = 250

#: The TTL of each rung in milliseconds: 250 ms doubling to 131,072 s (36 h).
RUNGS: Final = tuple(SMALLEST << power for power in range(20))

#: What is due within this many seconds is sent at once: two clocks never agree better.
EARLY: Final = 0.02

#: By how much a delay that need not be exact may be late, as a part of its length.
TOLERANCE: Final = 0.1

#: The latest due time that is believed, in milliseconds since the epoch (the year 9999).
_LATEST: Final = 253_402_300_799_000


def check_delay(delay: float) -> float:
    """The same delay, in seconds; raises `UsageError` for one that cannot be."""
    if not 0 <= delay <= LONGEST:
        raise UsageError(f"A delay of {delay!r} seconds", hint=f"It is a number of seconds from 0 to {LONGEST:.0f}.")
    return delay


def rung_queue(app: str, ms: int) -> str:
    """The name of a rung, with its TTL rounded down to a unit that one reads: `shop.delay.34m`."""
    seconds = ms // 1000
    if ms < 1000:
        length = f"{ms}ms"
    elif seconds < 60:
        length = f"{seconds}s"
    elif seconds < 3600:
        length = f"{seconds // 60}m"
    else:
        length = f"{seconds // 3600}h"
    return f"{app}.delay.{length}"


def plan(app: str, publication: Publication, due: float, now: float, *, exact: bool = True) -> Publication:
    """Where to publish now what shall reach its target at `due` (both in seconds since the epoch).

    That is the target itself when it is due, without the headers of the delay, else the
    next rung. It never arrives early (by more than `EARLY`); planned late, it is so by less than 250 ms, or if it is
    not `exact` by a tenth of the delay. What `unwrap` returned keeps the exactness it was first planned with.
    """
    headers = publication.message.headers
    if not due - now > EARLY:
        if DELAY_HEADERS.isdisjoint(headers):
            return publication
        return replace(publication, message=replace(publication.message, headers=_without_delay(headers)))
    due_ms = math.ceil(min(due * 1000, _LATEST))
    remaining = max(due_ms - math.floor(now * 1000), 1)
    wanted = SMALLEST if exact else max(SMALLEST, int(remaining * TOLERANCE))
    slack = read_int(headers, SLACK, wanted, SMALLEST, RUNGS[-1])
    wrapped = _without_delay(headers)
    wrapped[DUE] = due_ms
    wrapped[TARGET_EXCHANGE] = publication.exchange
    wrapped[TARGET_KEY] = publication.routing_key
    if slack > SMALLEST:
        wrapped[SLACK] = min(slack, RUNGS[-1])
    if not publication.mandatory:
        wrapped[TARGET_OPTIONAL] = True
    if cancellable(publication.message):
        wrapped[CANCELLABLE] = True
    if looks := missed(publication):
        wrapped[MISSED] = looks
    message = replace(publication.message, headers=wrapped)
    return Publication("", rung_queue(app, next_rung(remaining, slack)), message)


def next_rung(remaining: int, slack: int = SMALLEST) -> int:
    """The rung to take now for a delay that may be late by less than `slack` (all in milliseconds)."""
    if remaining >= RUNGS[-1]:
        return RUNGS[-1]
    lowest = -(-remaining // SMALLEST)
    highest = max(lowest, (remaining + slack - 1) // SMALLEST)
    return SMALLEST << (_cheapest(lowest, highest).bit_length() - 1)


def _cheapest(lowest: int, highest: int) -> int:
    """The smallest number of lowest..highest with the fewest ones in binary: each one is a hop."""
    best = units = lowest
    # Adding its lowest one to a number rounds it up by the least that can save ones.
    while (units := units + (units & -units)) <= highest:
        if units.bit_count() < best.bit_count():
            best = units
    return best


def unwrap(delivery: Delivery) -> tuple[Publication, float]:
    """What a delivery from the `due` queue is: the publication to its target, and when it is due.

    The publication keeps what `plan` needs to send it on. One that was given up here and redriven is due
    at 0.0, where it was to go at first. Raises `DecodingError` when the headers of the delay are missing
    or make no sense.
    """
    if delivery.defect is not None:
        raise DecodingError(f"The headers of a delayed message cannot be read: {delivery.defect}")
    headers = delivery.message.headers
    due = read_int(headers, DUE, -1, 0, _LATEST)
    exchange, key = headers.get(TARGET_EXCHANGE), headers.get(TARGET_KEY)
    optional = headers.get(TARGET_OPTIONAL) is True
    if due < 0 and RUN in headers and headers.get(EXCHANGE):
        due, exchange, key, optional = 0, headers.get(EXCHANGE), headers.get(ROUTING_KEY), True
    if due < 0:
        raise DecodingError(f"A delayed message does not say when it is due (header {DUE}).")
    if not isinstance(exchange, str) or not isinstance(key, str) or not (exchange or key):
        raise DecodingError(f"A delayed message does not say where it goes (headers {TARGET_EXCHANGE}, {TARGET_KEY}).")
    if _too_long(exchange) or _too_long(key):
        raise DecodingError("The target of a delayed message is longer than 255 bytes.")
    kept = _without_delay(headers)
    slack = read_int(headers, SLACK, SMALLEST, SMALLEST, RUNGS[-1])
    if slack > SMALLEST:
        kept[SLACK] = slack
    if cancellable(delivery.message):
        kept[CANCELLABLE] = True
    if MISSED in headers:
        kept[MISSED] = headers[MISSED]
    message: Message = replace(delivery.message, headers=kept)
    return Publication(exchange, key, message, not optional), due / 1000


def cancellable(message: Message) -> bool:
    """Whether the delayed message may have been cancelled."""
    return message.headers.get(CANCELLABLE) is True


def missed(publication: Publication) -> int:
    """At how many looks in a row its target was not there."""
    return read_int(publication.message.headers, MISSED, 0, 0, _LATEST)


def with_missed(publication: Publication, looks: int) -> Publication:
    """The publication, which on its next rung says at how many looks its target was not there."""
    headers = {**publication.message.headers, MISSED: looks}
    return replace(publication, message=replace(publication.message, headers=headers))


def _without_delay(headers: Headers) -> dict[str, HeaderValue]:
    kept = clean(headers)
    for name in DELAY_HEADERS:
        kept.pop(name, None)
    return kept


def _too_long(name: str) -> bool:
    return len(name.encode("utf-8", "surrogatepass")) > 255
