"""Streams: the history of one aggregate in the log, and which version of it a writer counts on."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal, NamedTuple, TypeAlias

from engine.errors import UsageError
from engine.model.names import flaw


class StreamId(NamedTuple):
    """The stream of one aggregate: `StreamId("account", "a-1")`, written `account/a-1`."""

    aggregate_type: str
    aggregate_id: str

    def __str__(self) -> str:
        return f"{self.aggregate_type}/{self.aggregate_id}"

    @classmethod
    def parse(cls, text: str) -> StreamId:
        """The stream written `account/a-1`. Raises `UsageError`."""
        kind, _, name = text.partition("/")
        return checked(cls(kind, name))


class Expected(Enum):
    """What a writer may expect of a stream beside a version."""

    ANY = "any"
    NO_STREAM = "no stream"


#: Append whatever the stream's version is.
ANY_VERSION: Final = Expected.ANY
#: Append only if the stream has no events yet; the same as version 0.
NO_STREAM: Final = Expected.NO_STREAM

#: The version that a stream must be at: that of its last event, counted from 1.
ExpectedVersion: TypeAlias = int | Literal[Expected.ANY, Expected.NO_STREAM]


def checked(stream: StreamId) -> StreamId:
    """The stream, if there can be one of that name; raises `UsageError`."""
    for what, text in (("type", stream.aggregate_type), ("id", stream.aggregate_id)):
        if not isinstance(text, str):
            raise UsageError(f"the aggregate {what} {text!r} of a stream is not a string")
        if problem := flaw(text):
            raise UsageError(f"the aggregate {what} of the stream {str(stream)!r} {problem}")
    if "/" in stream.aggregate_type:
        raise UsageError(f"the aggregate type {stream.aggregate_type!r} has a slash, which begins the id")
    return stream


def to_number(expected: ExpectedVersion) -> int | None:
    """The expected version as a number; None when any will do. Raises `UsageError` for what is neither."""
    if expected is Expected.ANY:
        return None
    if expected is Expected.NO_STREAM:
        return 0
    if type(expected) is not int or expected < 0:
        raise UsageError(
            f"expected={expected!r} is no version of a stream",
            hint="It is ANY_VERSION, NO_STREAM, or the version of the last event, counted from 1.",
        )
    return expected
