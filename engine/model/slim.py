"""A message made smaller by what it can spare, so that a broker can carry its headers."""

from __future__ import annotations

from dataclasses import replace

from engine.model.headers import PREFIX, TRACEBACK, dump
from engine.model.message import HeaderValue, Message

#: A foreign header longer than this, in characters of JSON, is the first to go.
LONG = 512

#: Foreign headers that say what the message is: those of a CloudEvent. They stay.
_MEANING = ("cloudEvents:", "cloudEvents_")


def slimmer(message: Message) -> Message | None:
    """The message without our traceback and long foreign headers, then without any; None when nothing is left to spare."""
    headers = dict(message.headers)
    foreign = [name for name in headers if not name.startswith((PREFIX, *_MEANING))]
    spare = {name for name in foreign if _burdens(headers[name])} | ({TRACEBACK} & headers.keys())
    spare = spare or set(foreign)
    if not spare:
        return None
    return replace(message, headers={name: value for name, value in headers.items() if name not in spare})


def _burdens(value: HeaderValue) -> bool:
    """Long, nested, or a number that AMQP does not know."""
    if isinstance(value, float):
        return value - value != 0
    return isinstance(value, (dict, list)) or len(dump({"": value})) > LONG
