"""What a dead letter tells: why, after what, and where; and how an exception is put into words.

It travels in headers of our own: `x-death` can be forged, and RabbitMQ 4 ignores it on a republish.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from engine.model import headers as names
from engine.model.describe import Description, describe
from engine.model.headers import read_int, read_str
from engine.model.message import Headers, HeaderValue

__all__ = ["DeadLetter", "Description", "describe", "fingerprint"]

#: The reason of a dead letter that nothing of ours has sent.
BY_BROKER = "dead-lettered by the broker"

#: The longest id, name and reason that is read, in characters; messages and tracebacks are longer.
_SHORT = 1024
_LONG = 16 * 1024

_LAST_MOMENT = 253_402_300_799_000  # the year 9999, in milliseconds


class DeadLetter(NamedTuple):
    """Why a message was given up. Times in seconds since the epoch, UTC; 0.0 where unknown.

    `run` is the run under which the dead letter was sent, `exchange` and `routing_key` what
    the message was first published to.
    """

    reason: str
    exception: str = ""
    message: str = ""
    traceback: str = ""
    attempts: int = 0
    run: int = 0
    first_failed: float = 0.0
    last_failed: float = 0.0
    queue: str = ""
    handler: str = ""
    worker: str = ""
    exchange: str = ""
    routing_key: str = ""
    fingerprint: str = ""

    def to_headers(self) -> dict[str, HeaderValue]:
        """The headers that carry it; what is empty is left out."""
        found: dict[str, HeaderValue] = {names.REASON: self.reason, names.RUN: self.run, names.ATTEMPTS: self.attempts}
        found |= {name: text for name, text in zip(_TEXTS, self._texts(), strict=True) if text}
        for name, moment in ((names.FIRST_FAILED, self.first_failed), (names.LAST_FAILED, self.last_failed)):
            if moment > 0:
                found[name] = round(moment * 1000)
        return found

    def _texts(self) -> tuple[str, ...]:
        return (
            self.exception, self.message, self.traceback, self.queue, self.handler,
            self.worker, self.exchange, self.routing_key, self.fingerprint,
        )  # fmt: skip

    @classmethod
    def from_headers(cls, headers: Headers) -> DeadLetter | None:
        """What the headers tell, None when they are not a dead letter's of ours.

        Whatever is missing or of another type is empty, and what is too long is cut.
        """
        reason = read_str(headers, names.REASON)[:_SHORT]
        if not reason:
            return None
        texts = {
            field: read_str(headers, name)[: _LONG if name in (names.MESSAGE, names.TRACEBACK) else _SHORT]
            for name, field in _TEXTS.items()
        }
        return cls(
            reason=reason,
            attempts=read_int(headers, names.ATTEMPTS, 0, 0, 2**31 - 1),
            run=read_int(headers, names.RUN, 0, 0, 2**31 - 1),
            first_failed=read_int(headers, names.FIRST_FAILED, 0, 0, _LAST_MOMENT) / 1000,
            last_failed=read_int(headers, names.LAST_FAILED, 0, 0, _LAST_MOMENT) / 1000,
            **texts,
        )

    @classmethod
    def from_broker(cls, queue: str, headers: Headers, now: float) -> DeadLetter:
        """What is known of a message that the broker itself dead-lettered from `queue`, seen at `now`.

        `exchange` and `routing_key` are those it came to the queue by, as far as the broker tells.
        """
        death = _death(queue, headers)
        reason = death.get("reason")
        said = reason if isinstance(reason, str) else read_str(headers, "x-first-death-reason")
        keys = death.get("routing-keys")
        return cls(
            reason=BY_BROKER,
            message=_BROKER_REASONS.get(said, "delivered too often, expired, or rejected by another program"),
            run=read_int(headers, names.RUN, 0, 0, 2**31 - 1),
            first_failed=now,
            last_failed=now,
            queue=queue,
            exchange=read_str(death, "exchange")[:_SHORT],
            routing_key=keys[0][:_SHORT] if isinstance(keys, list) and keys and isinstance(keys[0], str) else "",
            fingerprint=fingerprint(said or BY_BROKER, queue, ""),
        )


def _death(queue: str, headers: Headers) -> dict[str, HeaderValue]:
    """What `x-death` says of this queue: only a hint for the reader, for a client can forge it."""
    deaths = headers.get("x-death")
    for death in deaths if isinstance(deaths, list) else ():
        if isinstance(death, dict) and death.get("queue") == queue:
            return death
    return {}


_TEXTS = {
    names.EXCEPTION: "exception",
    names.MESSAGE: "message",
    names.TRACEBACK: "traceback",
    names.QUEUE: "queue",
    names.HANDLER: "handler",
    names.WORKER: "worker",
    names.EXCHANGE: "exchange",
    names.ROUTING_KEY: "routing_key",
    names.FINGERPRINT: "fingerprint",
}

_BROKER_REASONS = {
    "delivery_limit": "delivered too often without being acknowledged",
    "rejected": "rejected by another program",
    "expired": "its time in the queue was over",
    "maxlen": "the queue was full",
}


def fingerprint(exception_type: str, handler: str, top_frame: str) -> str:
    """Twelve hex digits that are equal for failures with one cause.

    Of the frame only file and function count (`describe` gives them so): a line moves with every edit.
    """
    cause = f"{exception_type}\x00{handler}\x00{top_frame}"
    return hashlib.sha256(cause.encode("utf-8", "replace")).hexdigest()[:12]
