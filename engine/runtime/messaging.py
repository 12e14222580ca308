"""What an application sends to one, asks of one, and hears of many: the engine's commands, queries and subscriptions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from engine.brokers.base import Broker
from engine.errors import BrokerError, DatabaseError, PluginError, RequestTimeout, Unroutable, UsageError
from engine.model import headers as names
from engine.model.codec import Limits, payloads
from engine.model.codec.reply import read_reply
from engine.model.event import Event, EventData
from engine.model.message import Message, Publication
from engine.model.names import nearest
from engine.model.request import Query, Request, adapter, adapter_of
from engine.model.subjects import Role, read_subjects
from engine.model.topology import LONGEST_QUERY, topic_matches
from engine.runtime import clock
from engine.runtime.holding import refuse_to_wait
from engine.runtime.listening import DEFAULT_BUFFER, Subscriber
from engine.runtime.publishing import Letter, publish_all
from engine.runtime.requests import Requests
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.storage.database import Database

D = TypeVar("D", bound=EventData)
R = TypeVar("R")
T = TypeVar("T")

logger = logging.getLogger("warren.application")

#: Seconds that a request waits for its reply, unless it says otherwise, and at most.
REQUEST_TIMEOUT = 5.0
LONGEST_REQUEST = 24 * 3600.0
#: Seconds for which it is remembered who takes what.
ROUTES_LIFE = 5.0
#: Seconds that may be spent on finding out why nobody answered.
DIAGNOSIS = 2.0


class Messaging:
    """The part of `Engine` that knows one receiver from many."""

    settings: Settings
    timeout: float
    _database: Database | None
    _requests: Requests | None = None

    def __init__(self) -> None:
        self._routes: dict[str, str] = {}
        self._routes_until = 0.0
        self._subscribers: set[Subscriber[Any]] = set()
        #: For a test that moves its own clock: real seconds that a request waits at most.
        self.patience: float | None = None

    async def send(
        self,
        command: D,
        *,
        queue: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        id: str | None = None,
    ) -> Event[D]:
        """Send a command to exactly one queue, past the exchange; returns it once the queue has it.

        That is the queue of the one handler that takes such commands, as the database remembers it, unless `queue`
        names one. Nobody is waited for: what the handler rejects becomes a failure. Raises `Unroutable` when there is
        no such queue or nobody is known to handle the command, and otherwise as `publish` does.
        """
        if isinstance(command, Query):
            raise UsageError(f"{type(command).__name__} is a query, which somebody waits for", hint="Use request(…).")
        event, message = self._compose(command, id=id, correlation_id=correlation_id, causation_id=causation_id)
        target = queue or await self.route(event.type)
        try:
            await self._deliver(event, target, message)
        except Unroutable:
            if queue is not None or (again := await self.route(event.type, anew=True)) == target:
                raise
            await self._deliver(event, again, message)  # its handler has another queue now
        return event

    @overload
    async def request(
        self,
        request: Request[R],
        *,
        timeout: float = ...,
        queue: str | None = ...,
        correlation_id: str | None = ...,
        causation_id: str | None = ...,
        id: str | None = ...,
    ) -> R: ...

    @overload
    async def request(
        self,
        request: EventData,
        *,
        reply: type[T],
        timeout: float = ...,
        queue: str | None = ...,
        correlation_id: str | None = ...,
        causation_id: str | None = ...,
        id: str | None = ...,
    ) -> T: ...

    async def request(
        self,
        request: EventData,
        *,
        reply: Any = None,
        timeout: float = REQUEST_TIMEOUT,
        queue: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        id: str | None = None,
    ) -> Any:
        """Send a query or command to the one that handles it, and wait `timeout` seconds for its reply.

        The reply is what the class of the request names in brackets, or `reply`. What has not begun when the
        time is over is not begun any more. To be cancelled ends the waiting, not what was asked for.

        Raises `Rejected`, with its reason, when the handler refused; `RequestFailed` when it gave up; `RequestTimeout` when nobody
        answered, and says whether anybody could; `RequestLost` when the connection went meanwhile; `ReplyInvalid`;
        `Unroutable` and other errors of the broker when the request was not taken; `UsageError` in a handler's transaction.
        """
        refuse_to_wait("a request")
        name = type(request).__name__
        most = LONGEST_QUERY if isinstance(request, Query) else LONGEST_REQUEST
        if not 0 < timeout <= most:
            raise UsageError(f"timeout={timeout!r} is not a number of seconds above 0, and at most {most:g}")
        if reply is None and not isinstance(request, Request):
            raise UsageError(
                f"{name} does not say what it is answered by",
                hint=f"Declare it as class {name}(Query[…], type=…) or Command[…], or name reply=.",
            )
        kind = adapter(type(request)) if reply is None else adapter_of(reply, "reply=")
        event, message = self._compose(request, id=id, correlation_id=correlation_id, causation_id=causation_id)
        limits = Limits(size=self.settings.max_body)
        if len(message.body) > limits.size:
            raise UsageError(f"{name} has {len(message.body)} bytes, where {limits.size} are allowed (max_body)")
        target = queue or await self.route(event.type)
        message.headers = {**message.headers, names.DEADLINE: int((clock.now() + timeout) * 1000)}
        message.correlation_id = event.id  # what a reply repeats; the body has the chain's own
        what = f"{event.type} {event.id}"
        if self._requests is None:
            self._requests = Requests(self.broker)
        try:
            patience = timeout if self.patience is None else self.patience
            answer = await self._requests.ask(Publication("", target, message), patience)
        except TimeoutError:
            raise await self.unanswered(what, target, timeout) from None
        except Unroutable:
            self._routes_until = 0.0
            raise
        rejections = request.__warren_rejections__ if isinstance(request, Request) else ()
        return read_reply(answer, kind, rejections, what, limits)

    @overload
    def subscribe(self, *subjects: type[D], buffer: int = ...) -> Subscriber[D]: ...

    @overload
    def subscribe(self, *subjects: str, buffer: int = ...) -> Subscriber[dict[str, Any]]: ...

    def subscribe(self, *subjects: Any, buffer: int = DEFAULT_BUFFER) -> Subscriber[Any]:
        """Hear events from now on, by class or topic pattern, for as long as one listens.

            async for event in engine.subscribe("order.*"):
                ...

        Nothing is kept: what is published while nobody listens, or while the connection is away, is missed. So is the
        oldest of more than `buffer` events that were not yet read. By class the payloads are instances of it, by
        pattern plain dicts. That nothing like it was ever published is no error, and logged. Raises `UsageError`.
        """
        try:
            patterns, models = read_subjects(subjects, "subscribe", Role.EVENT)
        except PluginError as error:
            raise UsageError(error.message, hint=error.hint) from None
        subscriber: Subscriber[Any] = Subscriber(
            self.broker,
            self.settings.exchange,
            patterns,
            payloads(models, open=len(patterns) > len(models)),
            buffer=buffer,
            limits=Limits(size=self.settings.max_body),
            opened=self._say_unknown,
            closed=self._subscribers.discard,
        )
        self._subscribers.add(subscriber)
        return subscriber

    @property
    def broker(self) -> Broker:
        raise NotImplementedError

    def _compose(
        self,
        data: D | Event[D],
        *,
        id: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
    ) -> tuple[Event[D], Message]:
        raise NotImplementedError

    async def _deliver(self, event: Event[Any], queue: str, message: Message) -> None:
        letter = Letter(event, Publication("", queue, message, mandatory=True))
        await publish_all(self.broker, [letter], timeout=self.timeout)

    async def route(self, kind: str, *, anew: bool = False) -> str:
        """The queue that takes such commands or queries; raises `Unroutable` where nobody is known to."""
        stale = anew or kind not in self._routes or time.monotonic() > self._routes_until
        if stale and self._database is not None:
            from engine.storage import workers

            try:
                self._routes = await self._database.read(workers.routes)
                self._routes_until = time.monotonic() + ROUTES_LIFE
            except DatabaseError:
                if kind not in self._routes:
                    raise
        found = self._routes.get(kind)
        if found is not None:
            return found
        if self._database is None:
            why, hint = (
                "this engine has no database that would tell",
                "Make it with one, or name the queue with queue=.",
            )
        else:
            why = "no worker on this database has declared a handler for it"
            hint = (
                nearest(kind, self._routes)
                or "Start a worker with its @command_handler or @query_handler, or name queue=."
            )
        raise Unroutable(f"Nobody is known to handle {kind}: {why}.", hint=hint)

    async def unanswered(self, what: str, queue: str, timeout: float) -> RequestTimeout:
        """The error for a request that nobody answered: could anybody have?"""
        said, hint = f"what is with its queue {queue} could not be seen", "Is the broker reached?"
        with contextlib.suppress(BrokerError, TimeoutError):
            async with asyncio.timeout(DIAGNOSIS):
                depth = (await self.broker.depths([queue]))[queue]
            if depth is None:
                said, hint = f"its queue {queue} is gone", "Start the worker that declares it."
            else:
                consumers = {0: "no consumer", 1: "1 consumer"}.get(depth.consumers, f"{depth.consumers} consumers")
                waiting = "1 message waits" if depth.ready == 1 else f"{depth.ready} messages wait"
                said = f"its queue {queue} has {consumers}, and {waiting} in it"
                hint = "Start a worker that has its handler, or resume the queue: `warren queues`."
                if depth.consumers:
                    hint = "Its handler is slow or busy: give it longer, or start more workers."
        return RequestTimeout(f"{what} was not answered within {timeout:g} s: {said}.", hint=hint)

    async def _say_unknown(self, patterns: Sequence[str]) -> None:
        """Say so where nothing was ever published that these patterns match, as far as the log of events tells."""
        if self._database is None:
            return
        from engine.storage import event_types

        try:
            known = await self._database.read(event_types.known)
        except DatabaseError:
            return
        for pattern in patterns if known else ():
            if not any(topic_matches(pattern, kind) for kind in known):
                near = nearest(pattern, known) or f"Known are: {', '.join(known[:8])}."
                logger.warning("no event that %s matches was ever logged here. %s", pattern, near)

    async def _close_messaging(self) -> None:
        for subscriber in list(self._subscribers):
            await subscriber.close()
        requests, self._requests = self._requests, None
        if requests is not None:
            await requests.close()
