"""Calls into aiormq that end in time and in errors of ours.

aiormq ends what is under way by `CancelledError` when a connection is lost. Each call runs as
a task of its own, so that this is told apart from a cancellation of the caller, which goes on.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable
from typing import Any, TypeVar

from aiormq.exceptions import AMQPError

from engine.brokers.rabbitmq.tap import CloseReason
from engine.errors import AccessRefused, BrokerError, BrokerUnavailable, QueueMissing, TopologyMismatch

T = TypeVar("T")

#: Seconds before the first retry at the earliest, and at the latest.
FIRST_RETRY = (0.1, 0.5)
#: Longest wait between two retries, in seconds.
LONGEST_RETRY = 15.0

#: Neutral: whoever goes on by itself, as a worker does, says so beside it.
RESTART_HINT = "Is RabbitMQ up, and the way to it? What it confirmed is safe."

_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<arg>[^']*)' for (?P<kind>queue|exchange) '(?P<name>.*?)' in vhost '.*?': "
    r"received (?P<wanted>.*?) but current is (?P<found>.*)$",
    re.DOTALL,
)
_VALUE = re.compile(r"^(?:the value )?'(?P<value>.*?)'(?: of type '.*')?$", re.DOTALL)


async def call(doing: str, work: Awaitable[T], timeout: float) -> T:
    """The result of `work`, within `timeout` seconds; `doing` is what the error says was under way.

    Raises `BrokerUnavailable` when it takes longer or the connection goes, and otherwise only what
    aiormq raises on purpose: an `AMQPError`, `RuntimeError` or `OSError`.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,), timeout=timeout)
    except asyncio.CancelledError:
        abandon(task)
        raise
    if not task.done():
        abandon(task)
        raise BrokerUnavailable(f"RabbitMQ did not answer within {timeout:g} s while {doing}.", hint=RESTART_HINT)
    if task.cancelled():
        raise BrokerUnavailable(f"The connection to RabbitMQ was lost while {doing}.", hint=RESTART_HINT)
    error = task.exception()
    if error is None:
        return task.result()
    if isinstance(error, (BrokerError, AMQPError, RuntimeError, OSError)):
        raise error
    # What is under way when aiormq's reader ends is handed the reader's own error: a bare `Exception`
    # after a goodbye, anything at all after a frame that it could not read.
    raise BrokerUnavailable(
        f"The connection to RabbitMQ was lost while {doing}: {error!r}.", hint=RESTART_HINT
    ) from error


def abandon(task: asyncio.Future[Any]) -> None:
    """Cancel a task that nobody waits for, without a complaint about its end."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    task.cancel()


def retry_delay(failures: int) -> float:
    """Seconds to wait after that many failures in a row (from 0): exponential with full jitter."""
    low, high = FIRST_RETRY
    return random.uniform(low, min(LONGEST_RETRY, high * 2.0 ** min(failures, 16)))


def closed_error(reason: CloseReason, doing: str) -> BrokerError:
    """What it means that the broker closed a channel for `reason` while we were `doing`."""
    code, text = reason
    if code == 403:
        return AccessRefused(
            f"RabbitMQ refused access while {doing}: {words(text)}.",
            hint="Give the user configure, write and read permissions: rabbitmqctl set_permissions.",
        )
    if code == 404:
        return QueueMissing(
            f"RabbitMQ has {words(text)}; this was {doing}.",
            hint="`warren topology apply` declares what is missing; a worker does so at its start.",
        )
    if code == 406 and "inequivalent" in text:
        return _mismatch(text)
    if code == 406 and "timed out" in text:
        return BrokerUnavailable(
            f"RabbitMQ took the consumer off, while {doing}: {words(text)}.",
            hint="A message was out longer than the broker's consumer_timeout; lower prefetch or raise it.",
        )
    if code in (405, 406):
        return TopologyMismatch(
            f"RabbitMQ refused while {doing}: {words(text)}.", hint="`warren topology diff` compares with the broker."
        )
    return BrokerUnavailable(f"RabbitMQ closed the channel while {doing}: {code} {words(text)}.", hint=RESTART_HINT)


def _mismatch(text: str) -> TopologyMismatch:
    hint = "Run `warren topology diff` to see what differs and how to migrate. What exists is as it was."
    found = _INEQUIVALENT.search(text)
    if found is None:
        return TopologyMismatch(f"RabbitMQ has it otherwise: {words(text)}.", hint=hint)
    return TopologyMismatch(
        f"The {found['kind']} {found['name']!r} exists on the broker with another {found['arg']}: "
        f"wanted {_value(found['wanted'])}, the broker has {_value(found['found'])}.",
        hint=hint,
    )


def _value(text: str) -> str:
    found = _VALUE.match(text.strip())
    return found["value"] if found else text.strip()


def words(text: str) -> str:
    """The broker's sentence without its shouted prefix."""
    return text.split(" - ", 1)[-1].strip().rstrip(".")
