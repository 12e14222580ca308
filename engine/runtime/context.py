"""What a handler knows of the message it handles, and what it may do with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from engine.errors import PluginError, UsageError
from engine.model.codec import to_message
from engine.model.delay import check_delay
from engine.model.event import Event, EventData, new_event
from engine.model.message import Message
from engine.model.request import refuse_request
from engine.model.topology import check_queue_name
from engine.runtime import clock
from engine.runtime.ids import new_id

D = TypeVar("D", bound=EventData)

_logger = logging.getLogger("warren.handler")


def _utc_now() -> datetime:
    return clock.utc()


class MessageLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose records carry the ids of one message, beside the caller's own `extra`."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        # The standard adapter drops the caller's extra before Python 3.13.
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class Detour(NamedTuple):
    """Where what was emitted goes, if not to the events exchange at once.

    `queue` is the one queue that gets it; `due`, in seconds since the epoch, is when it is sent.
    """

    queue: str | None
    due: float | None


class Context:
    """One attempt at one message, or of a batch handler at one batch.

    `attempt` counts from 1; `max_attempts` is None where the retry policy has no such limit.
    `deadline`, in seconds since the epoch, is when the handler's time is up. Of a batch,
    `event` is the last one and `attempt` the highest.
    """

    __slots__ = (
        "_clock",
        "_closed",
        "_emits",
        "_log",
        "_new_id",
        "_route",
        "_source",
        "attempt",
        "deadline",
        "detours",
        "emitted",
        "event",
        "exchange",
        "handler",
        "max_attempts",
        "messages",
        "queue",
        "result",
    )

    def __init__(
        self,
        event: Event[Any],
        *,
        attempt: int = 1,
        max_attempts: int | None = None,
        queue: str = "",
        handler: str = "",
        deadline: float = float("inf"),
        source: str = "",
        exchange: str = "events",
        emits: tuple[type[EventData], ...] = (),
        route: Callable[[str], str | None] = lambda _type: None,
        new_id: Callable[[], str] = new_id,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.event = event
        self.attempt = attempt
        self.max_attempts = max_attempts
        self.queue = queue
        self.handler = handler
        self.deadline = deadline
        #: Where events go, unless a detour says otherwise.
        self.exchange = exchange
        #: What was emitted or sent, in order, and the message that each will travel in.
        self.emitted: list[Event[Any]] = []
        self.messages: list[Message] = []
        #: By index, those of them that do not simply go to the events exchange.
        self.detours: dict[int, Detour] | None = None
        #: What the handler returned.
        self.result: Any = None
        self._route = route
        self._source = source
        self._emits = emits
        self._new_id = new_id
        self._clock = clock
        self._closed = False
        self._log: MessageLogger | None = None

    def emit(
        self, data: D, *, delay: float = 0.0, cause: Event[Any] | None = None, metadata: Mapping[str, Any] | None = None
    ) -> Event[D]:
        """Publish an event if, and only if, this handler succeeds; in the same transaction.

        It is published `delay` seconds from now, at once unless said. It carries the correlation
        id on and names the handled event as its cause; a batch handler names which of its
        events with `cause` (the last one unless said). Raises `UsageError` for what is not an event, cannot be
        written or is not among the handler's `emits`, and once the handler has ended.
        """
        self.check_emits(data)
        refuse_request(data, "emitted", "ctx.send")
        due = self._due(delay) if delay else None
        event = self._put(data, cause, metadata)
        if due is not None:
            self._detour(Detour(None, due))
        return event

    def delay(self, data: D, seconds: float, *, cause: Event[Any] | None = None) -> Event[D]:
        """Emit an event that is published so many seconds from now: `emit` with a delay."""
        return self.emit(data, delay=seconds, cause=cause)

    def send(
        self,
        command: D,
        *,
        queue: str | None = None,
        delay: float = 0.0,
        cause: Event[Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Event[D]:
        """Send a command to one queue, and to nobody else, if this handler succeeds.

        That is the queue of the one handler that takes such commands, unless `queue` says otherwise. It waits in the outbox, with a
        warning, while the broker has no such queue. Raises `UsageError` as `emit` does, and where nobody is known
        to handle the command.
        """
        if queue is None:
            kind = str(getattr(type(command), "__warren_type__", None))
            queue = self._route(kind)
            if queue is None:
                raise UsageError(
                    f"{self.handler or 'the handler'} sends {kind}, and nobody is known to handle it",
                    hint=f"Start a worker with a @command_handler({type(command).__name__}) on this database, or name queue=.",
                )
        try:
            check_queue_name(queue)
        except PluginError as error:
            raise UsageError(f"{self.handler or 'the handler'} sends to no queue: {error.message}") from None
        due = self._due(delay) if delay else None
        event = self._put(command, cause, metadata)
        self._detour(Detour(queue, due))
        return event

    def check_emits(self, data: object) -> None:
        """Raise `UsageError` for what is not among the handler's `emits`, where it declares any."""
        if self._emits and not isinstance(data, self._emits):
            raise UsageError(
                f"{self.handler} emits {type(data).__name__}, "
                f"but declares emits=[{', '.join(model.__name__ for model in self._emits)}]",
                hint=f"Add {type(data).__name__} to emits= of @handler.",
            )

    def take(self, events: Sequence[Event[Any]], messages: Sequence[Message]) -> None:
        """For the engine: have these published with the handler's commit."""
        self.emitted.extend(events)
        self.messages.extend(messages)

    def compose(
        self, data: D, *, cause: Event[Any] | None = None, metadata: Mapping[str, Any] | None = None
    ) -> Event[D]:
        """For the engine: the event of a payload, as this handler would emit it."""
        if self._closed:
            raise UsageError(
                f"{self.handler or 'the handler'} has ended; {type(data).__name__} was emitted too late",
                hint="Await all that the handler starts before it returns.",
            )
        cause = cause or self.event
        return new_event(
            data,
            id=self._new_id(),
            now=self._clock(),
            source=self._source,
            correlation_id=cause.correlation_id or cause.id,
            causation_id=cause.id,
            metadata=metadata,
        )

    def _put(self, data: D, cause: Event[Any] | None, metadata: Mapping[str, Any] | None) -> Event[D]:
        event = self.compose(data, cause=cause, metadata=metadata)
        # Written now, so that a payload which cannot be written fails at the user's own line.
        self.messages.append(to_message(event))
        self.emitted.append(event)
        return event

    def _detour(self, detour: Detour) -> None:
        if self.detours is None:
            self.detours = {}
        self.detours[len(self.emitted) - 1] = detour

    def _due(self, delay: float) -> float:
        return self._clock().timestamp() + check_delay(delay)

    def close(self) -> None:
        """The attempt is over: what a stray task or thread emits from now on is refused."""
        self._closed = True

    @property
    def log(self) -> MessageLogger:
        """A logger whose records carry the ids of this message."""
        if self._log is None:
            self._log = MessageLogger(
                _logger.getChild(self.handler) if self.handler else _logger,
                {
                    "queue": self.queue,
                    "event_id": self.event.id,
                    "event_type": self.event.type,
                    "correlation_id": self.event.correlation_id,
                    "attempt": self.attempt,
                },
            )
        return self._log
