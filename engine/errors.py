"""What can go wrong, and what to do next.

    WarrenError
    ├── ConfigurationError        a setting, a URL or an option is wrong
    ├── PluginError               a plugin does not import or declares what cannot be
    ├── BrokerError
    │   ├── BrokerUnavailable     not reached, lost, or silent past its time-out
    │   │   └── RequestLost       the connection went while a request waited for its reply
    │   ├── AccessRefused         wrong user, password or permission
    │   ├── TopologyMismatch      a queue or exchange exists with other arguments
    │   ├── QueueMissing          the queue is not there
    │   └── PublishRefused
    │       ├── ExchangeMissing   the exchange is not there
    │       └── Unroutable        confirmed by nobody: no queue takes it
    ├── DatabaseError
    │   ├── DatabaseUnavailable   not reached, locked, full, read-only
    │   ├── DatabaseOutdated      older than the program: migrate it
    │   └── DatabaseNewer         newer than the program: upgrade the program
    ├── StreamError
    │   ├── ConcurrencyConflict   the stream is at another version than expected
    │   ├── StreamMissing         nothing was ever appended to the stream
    │   ├── StreamArchived        the stream's events were moved out of the log
    │   ├── EventTaken            the log has an event of this id already
    │   └── HistoryError          a stream from which no aggregate can be built
    │       ├── UnknownEvent      an event of a type or version that the program does not know
    │       └── ApplierFailed     an applier raised
    ├── DecodingError             a message that cannot be read; never retried
    ├── Reject                    raised by a handler: a dead letter at once
    ├── RetryLater                raised by a handler: an attempt that failed, with its own delay
    ├── HandlerTimeout            a handler ran past its time-out
    ├── Rejected                  a command or query was understood and refused, with a typed reason
    ├── RequestError
    │   ├── RequestTimeout        nobody answered in time
    │   ├── RequestFailed         whoever handled it failed for good
    │   └── ReplyInvalid          the reply is not what was asked for
    ├── ReadOnly                  an operator who only looks asked for a change
    └── UsageError                the API was called in a way that cannot work
        └── FilterError           a filter cannot be read

Each carries `hint`, the next step for whoever reads it, and `exit_code`, what the
command line ends with: 1 when the world is at fault, 2 when the call is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class WarrenError(Exception):
    """The root of all errors that Warren raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class ConfigurationError(WarrenError):
    """A setting, a URL or an option is wrong."""

    exit_code = 2


class PluginError(WarrenError):
    """A plugin does not import, or declares handlers that cannot be."""

    exit_code = 2


class UsageError(WarrenError):
    """The API was called in a way that cannot work."""

    exit_code = 2


class FilterError(UsageError):
    """A filter cannot be read. `column` and `width` say which characters of it, counted from 0."""

    def __init__(self, message: str, *, hint: str = "", column: int = 0, width: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.column = column
        self.width = width


class ReadOnly(WarrenError):
    """An operator who only looks asked for a change. Nothing was touched."""

    exit_code = 2


class BrokerError(WarrenError):
    """The broker did not do what it was asked.

    Where an `Engine` published, `events` are the events of the call and `results` what became of
    each, in the same order: None once it was confirmed, else why it was not.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.events: Sequence[Any] = ()
        self.results: Sequence[BrokerError | None] = ()

    @property
    def unconfirmed(self) -> list[Any]:
        """The events that were not confirmed. `publish_many` takes them again, under their ids."""
        return [event for event, result in zip(self.events, self.results, strict=True) if result is not None]


class BrokerUnavailable(BrokerError):
    """The broker was not reached, was lost, or kept silent past its time-out."""


class RequestLost(BrokerUnavailable):
    """The connection went while a request waited for its reply: it may have been carried out or not."""


class AccessRefused(BrokerError):
    """The broker knows another password, or this user may not do that."""


class TopologyMismatch(BrokerError):
    """A queue or exchange exists on the broker with other arguments."""


class QueueMissing(BrokerError):
    """The queue is not on the broker."""


class PublishRefused(BrokerError):
    """The broker did not take the message: refused, or the target is full.

    `lasting`: no broker can take it as it is, however often it is sent.
    """

    def __init__(self, message: str, *, hint: str = "", lasting: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.lasting = lasting


class ExchangeMissing(PublishRefused):
    """The exchange is not on the broker."""


class Unroutable(PublishRefused):
    """No queue takes the message."""


class DatabaseError(WarrenError):
    """The database did not do what it was asked."""


class DatabaseUnavailable(DatabaseError):
    """The database was not reached, or is locked, full or read-only."""


class DatabaseOutdated(DatabaseError):
    """The database is older than the program."""


class DatabaseNewer(DatabaseError):
    """The database is newer than the program."""


class StreamError(WarrenError):
    """A stream of the log was not read or not appended to; the log is as it was. `stream` is the one, as `account/a-1`."""

    def __init__(self, message: str, *, stream: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.stream = stream


class ConcurrencyConflict(StreamError):
    """The stream is at another version than expected: somebody else appended to it meanwhile. Nothing was written.

    `expected` and `actual` are versions, 0 for a stream without events; `actual` is None where the
    transaction could not see it any more.
    """

    def __init__(self, stream: str, expected: int, actual: int | None) -> None:
        here = "another version" if actual is None else f"version {actual}" if actual else "version 0: it has no events"
        super().__init__(
            f"the stream {stream} is not at the expected version {expected} but at {here}",
            stream=stream,
            hint="Load the aggregate again, and decide again on what it is now; `Repository.update` does.",
        )
        self.expected = expected
        self.actual = actual


class StreamMissing(StreamError):
    """Nothing was ever appended to the stream, or nothing before the time that was asked for."""


class StreamArchived(StreamError):
    """The events of the stream were moved out of the log: nothing is read from it, or appended to it, any more."""


class EventTaken(StreamError):
    """The log has an event of this id already, elsewhere than where it was to be appended. Nothing was written."""


class HistoryError(StreamError):
    """The aggregate cannot be built from its stream. `version` is that of the event at which it stopped."""

    def __init__(self, message: str, *, stream: str, version: int, hint: str = "") -> None:
        super().__init__(message, stream=stream, hint=hint)
        self.version = version


class UnknownEvent(HistoryError):
    """The stream has an event of a type, or of a schema version, that this program cannot read."""


class ApplierFailed(HistoryError):
    """An applier raised; its error is the `__cause__`."""


class DecodingError(WarrenError):
    """A message that cannot be read. It is dead-lettered on its first attempt."""


class Reject(WarrenError):
    """Raise it in a handler to dead-letter the message at once, with this reason."""


class RetryLater(WarrenError):
    """Raise it in a handler to fail this attempt and choose the delay of the next.

    The delay is in seconds. It counts as an attempt, so `stop` still ends it.
    """

    def __init__(self, delay: float, reason: str = "retry later") -> None:
        super().__init__(reason)
        self.delay = delay


class HandlerTimeout(WarrenError):
    """A handler ran past its time-out."""


class Rejected(WarrenError):
    """A command or query was understood and refused. A handler raises it, and whoever waits for the reply gets it.

        raise Rejected(InsufficientFunds(balance=Decimal(3)))     # a reason with fields
        raise Rejected("the account is closed")                   # a reason in words

    `reason` is an instance of an event class: where it is received, of one that the command names in
    `rejections=`, else None. `code` is the type of that class (`insufficient_funds`), `data` its fields as JSON values;
    both are empty where there were only words. It is no failure: nothing is tried again, and what the handler wrote
    in its session is rolled back.
    """

    def __init__(
        self, reason: Any = "", message: str = "", *, code: str = "", data: Mapping[str, Any] | None = None
    ) -> None:
        words = isinstance(reason, str)
        self.reason: Any = None if words else reason
        self.code: str = code or ("" if words else str(getattr(type(reason), "__warren_type__", None) or ""))
        self.data: Mapping[str, Any] = data if data is not None else {}
        super().__init__(message or (reason if words else f"rejected: {self.code}") or "rejected")


class RequestError(WarrenError):
    """A request got no answer that can be used."""


class RequestTimeout(RequestError):
    """Nobody answered a request in time. It may have been carried out all the same, or not."""


class RequestFailed(RequestError):
    """Whoever handled the request failed for good. `exception` is the name of what was raised there."""

    def __init__(self, message: str, *, hint: str = "", exception: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exception = exception


class ReplyInvalid(RequestError):
    """The reply is not what was asked for. The request was carried out."""
