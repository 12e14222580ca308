"""Replies to requests: who waits for one until when, and the row of the outbox that answers."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from engine.model import headers as names
from engine.model.codec.reply import FAILED, OK, REJECTED, answer, failure, refusal, reply_message
from engine.model.event import Event, EventData
from engine.model.message import Message, Publication
from engine.model.outgoing import Kind, Outgoing
from engine.model.request import adapter
from engine.runtime.ids import new_id
from engine.runtime.job import Job

#: Milliseconds since the epoch in the year 9999.
_LAST = 253_402_300_799_000

ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)

__all__ = ("FAILED", "OK", "REJECTED", "deadline", "failure", "refusal", "reply", "reply_row", "result", "waits")


def deadline(message: Message) -> float | None:
    """Until when somebody waits for the reply, in seconds since the epoch; None where nothing is said."""
    if names.DEADLINE not in message.headers:
        return None
    found = names.read_int(message.headers, names.DEADLINE, -1, 0, _LAST)
    return None if found < 0 else found / 1000


def waits(message: Message, now: float) -> bool:
    """Whether somebody still waits for a reply."""
    if not message.reply_to:
        return False
    until = deadline(message)
    return until is None or now < until


def result(event: Event[Any], value: Any, who: str) -> bytes:
    """The body of the reply `value`; raises `UsageError` when it is not what the request asks for."""
    kind = type(event.data)
    return answer(value, adapter(kind) if issubclass(kind, EventData) else ANYTHING, who)


def reply(request: Message, status: str, body: bytes, source: str) -> Publication:
    """The reply, on its way to whoever asked. That nobody waits any more is no error."""
    return Publication("", request.reply_to or "", reply_message(request, status, body, source), mandatory=False)


def reply_row(job: Job, status: str, body: bytes, source: str, now: float) -> Outgoing:
    """The same as a row of the outbox: sent after the commit of what it tells of, whoever may die then."""
    made = reply(job.message, status, body, source)
    return Outgoing(new_id(), Kind.REPLY, made.exchange, made.routing_key, made.message, made.mandatory, None, now)
