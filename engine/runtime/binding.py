"""From a handler's declaration to a call: which parameter gets what, settled once at start."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import PluginError
from engine.model.codec import Payloads
from engine.model.event import Event
from engine.model.handler import HandlerSpec
from engine.model.subjects import Role
from engine.runtime.accepting import accepted
from engine.runtime.annotations import (
    Subject,
    alternatives,
    batch_types,
    event_types,
    is_payload,
    is_session,
    of_handler,
    parameters,
    refusal,
    strip,
)
from engine.runtime.context import Context
from engine.runtime.depends import Given, Plan, Replaced, Source, depends, the_context, the_event, the_session
from engine.runtime.log_parameters import log_source
from engine.runtime.providers import NOTHING

if TYPE_CHECKING:
    from engine.storage.session import AsyncSession


class _Wanted(NamedTuple):
    """What the parameters ask for. `types`: the payloads of the event's annotation, None where it names none."""

    sources: list[tuple[inspect.Parameter, Source]]
    types: list[Any] | None
    session: bool
    batch: bool
    plan: Plan


class Invoke:
    """A handler ready to be called: `await invoke(event, ctx, session)`.

    `payloads` is what its events must be validated by; `call` calls the function at once, and
    gives its result or coroutine. A batch handler (`is_batch`) gets a list of events in the
    event's place. `plan` names its providers, what they gave comes as `given`.
    """

    __slots__ = ("_executor", "call", "is_async", "is_batch", "payloads", "plan", "spec", "wants_session")

    def __init__(
        self,
        spec: HandlerSpec,
        call: Callable[..., Any],
        *,
        payloads: Payloads,
        wants_session: bool,
        is_batch: bool,
        plan: Plan,
        executor: Executor | None = None,
    ) -> None:
        self.spec = spec
        self.call = call
        self.payloads = payloads
        self.wants_session = wants_session
        self.is_async = spec.is_async
        self.is_batch = is_batch
        self.plan = plan
        self._executor = executor

    def __call__(
        self,
        event: Event[Any] | list[Event[Any]],
        ctx: Context,
        session: AsyncSession | None = None,
        given: Given = NOTHING,
    ) -> Awaitable[Any]:
        """Run the handler; a plain `def` in a thread, with the caller's context variables."""
        if self.is_async:
            result: Awaitable[Any] = self.call(event, ctx, session, given)
            return result
        return self._in_thread(event, ctx, given)

    async def _in_thread(self, event: Any, ctx: Context, given: Given) -> Any:
        work = functools.partial(contextvars.copy_context().run, self.call, event, ctx, None, given)
        result = await asyncio.get_running_loop().run_in_executor(self._executor, work)
        # A decorator may have hidden an async function behind a plain one.
        return await result if inspect.isawaitable(result) else result


def bind(spec: HandlerSpec, *, executor: Executor | None = None, replaced: Replaced | None = None) -> Invoke:
    """Resolve what the handler's parameters ask for; raises `PluginError` where that cannot be given.

    `replaced` names functions that take the place of providers.
    """
    wanted = _wanted(of_handler(spec), replaced)
    if wanted.session and not spec.is_async:
        raise PluginError(
            f"{spec.place}: {spec.name} asks for a session, which only an async def handler can use",
            hint="Write it as async def, or open a connection of its own.",
        )
    _check_batch(spec, wanted)
    payloads = accepted(spec, wanted.types)
    return Invoke(
        spec,
        _caller(spec.function, wanted.sources),
        payloads=payloads,
        wants_session=wanted.session or wanted.plan.wants_session,
        is_batch=wanted.batch,
        plan=wanted.plan,
        executor=executor,
    )


def _check_batch(spec: HandlerSpec, wanted: _Wanted) -> None:
    if wanted.batch and spec.role is not Role.EVENT:
        raise PluginError(
            f"{spec.place}: {spec.name} takes a batch, but each {spec.role} is answered by itself",
            hint=f"Take one: {spec.role}: Event[…].",
        )
    if wanted.batch and spec.key is not None:
        raise PluginError(
            f"{spec.place}: {spec.name} takes a batch, in which key= has no meaning",
            hint="One batch runs at a time unless concurrency= says otherwise: leave key= out.",
        )
    if not wanted.batch and (spec.batch is not None or spec.batch_wait):
        raise PluginError(
            f"{spec.place}: {spec.name} has batch= or batch_wait=, but takes no batch",
            hint="Take the events as a list: events: list[Event[…]].",
        )


def _data(event: Event[Any], ctx: Context, session: Any, given: Given) -> Any:
    return event.data


def _wanted(subject: Subject, replaced: Replaced | None) -> _Wanted:
    resolved = list(parameters(subject))
    batch = any(batch_types(strip(annotation)) is not None for _, annotation in resolved)
    plan = Plan(subject, batch=batch, replaced=replaced)
    sources: list[tuple[inspect.Parameter, Source]] = []
    types: list[Any] | None = None
    logs = False
    for parameter, annotation in resolved:
        plain = strip(annotation)
        source: Source
        if (wanted := depends(annotation)) is not None:
            source = plan.add(wanted)
        elif (found := batch_types(plain)) is not None:
            source, types = the_event, _agree(subject, parameter, types, found)
        elif (found := event_types(plain)) is not None:
            source, types = the_event, _agree(subject, parameter, types, found, one=not batch)
        elif is_payload(plain):
            source, types = _data, _agree(subject, parameter, types, list(alternatives(plain)), one=not batch)
        elif plain is Context:
            source = the_context
        elif is_session(plain):
            source = the_session
        elif (logged := log_source(plain)) is not None:
            source = logged
            logs = True
        elif parameter.default is not parameter.empty:
            continue
        else:
            raise refusal(
                subject, parameter.name, f"is annotated {inspect.formatannotation(annotation)}, which nothing can fill"
            )
        sources.append((parameter, source))
    session = logs or any(source is the_session for _, source in sources)
    return _Wanted(sources, types, session, batch, plan)


def _agree(
    subject: Subject, parameter: inspect.Parameter, known: list[Any] | None, found: list[Any], *, one: bool = True
) -> list[Any]:
    if not one:
        raise refusal(subject, parameter.name, "asks for one event beside a batch of them")
    if known is not None and known != found:
        raise refusal(subject, parameter.name, "asks for another payload than the parameter before it")
    return found


def _caller(function: Callable[..., Any], sources: list[tuple[inspect.Parameter, Source]]) -> Callable[..., Any]:
    """The shortest way to call the function: most handlers take the event, or event and context."""
    keywords = {parameter.name: source for parameter, source in sources if parameter.kind is parameter.KEYWORD_ONLY}
    positional = [source for parameter, source in sources if parameter.kind is not parameter.KEYWORD_ONLY]
    skipped = _skips(function, sources)
    if not keywords and not skipped:
        if positional == [the_event]:
            return lambda event, ctx, session=None, given=NOTHING: function(event)
        if positional == [the_event, the_context]:
            return lambda event, ctx, session=None, given=NOTHING: function(event, ctx)
        return lambda event, ctx, session=None, given=NOTHING: function(
            *[source(event, ctx, session, given) for source in positional]
        )
    named = {parameter.name: source for parameter, source in sources}
    return lambda event, ctx, session=None, given=NOTHING: function(
        **{name: source(event, ctx, session, given) for name, source in named.items()}
    )


def _skips(function: Callable[..., Any], sources: list[tuple[inspect.Parameter, Source]]) -> bool:
    """Whether a parameter left to its default stands before one that is filled."""
    filled = [parameter.name for parameter, _ in sources]
    return list(inspect.signature(function).parameters)[: len(filled)] != filled
