"""`Depends`: a parameter that a provider fills, and the plan in which a handler's providers are called.

A plan is made once, when the handler is bound. Providers of the scope "worker" are opened when
the worker starts and closed after its drain; the others live as long as one attempt (of a batch
handler: one batch). Within its scope each is called once, however many ask for it.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from engine.errors import PluginError
from engine.model.place import shown_path
from engine.runtime.annotations import (
    Subject,
    batch_types,
    event_types,
    is_session,
    parameters,
    refusal,
    remarks,
    strip,
)
from engine.runtime.context import Context
from engine.runtime.log_parameters import log_source

Scope: TypeAlias = Literal["message", "worker"]


@dataclass(frozen=True, slots=True)
class Depends:
    """Says in `Annotated[T, Depends(provider)]` what fills a parameter of a handler or provider.

    The provider is a plain or async function that returns the value, or a plain or async
    generator that yields it once and is closed afterwards. It may ask for `Context`, `Event`,
    `AsyncSession`, `EventLog`, `Repository[…]` and other `Depends`; one of the scope "worker" only for others of that scope. A
    plain one is called on the event loop, so it must not block. Raises `PluginError`.
    """

    provider: Callable[..., Any]
    scope: Scope = "message"

    def __post_init__(self) -> None:
        if not isinstance(self.provider, (types.FunctionType, types.MethodType)):
            raise PluginError(
                f"Depends({_named(self.provider)}) is not given a function",
                hint="A provider is a function or generator: def or async def.",
            )
        if self.scope not in ("message", "worker"):
            raise PluginError(f'Depends(…, scope={self.scope!r}): a scope is "message" or "worker"')

    @property
    def name(self) -> str:
        """The provider's name."""
        return _named(self.provider)

    @property
    def place(self) -> str:
        """Where the provider stands, as `handlers/orders.py:12`."""
        code: Any = inspect.unwrap(self.provider).__code__
        return f"{shown_path(code.co_filename)}:{code.co_firstlineno}"


#: What providers gave.
Given: TypeAlias = Mapping[Depends, Any]
#: Functions that take the place of providers.
Replaced: TypeAlias = Mapping[Callable[..., Any], Callable[..., Any]]
#: What one parameter gets, of what there is: event or batch, context, session, and what providers gave.
Source: TypeAlias = Callable[[Any, Context, Any, Given], Any]


def the_event(event: Any, ctx: Context, session: Any, given: Given) -> Any:
    """The event, or the batch."""
    return event


def the_context(event: Any, ctx: Context, session: Any, given: Given) -> Any:
    """The context."""
    return ctx


def the_session(event: Any, ctx: Context, session: Any, given: Given) -> Any:
    """The session."""
    return session


def provided(wanted: Depends) -> Source:
    """What this provider gave."""
    return lambda event, ctx, session, given: given[wanted]


class Step(NamedTuple):
    """A provider to be called, and what fills its parameters."""

    wanted: Depends
    arguments: tuple[tuple[str, bool, Source], ...]

    def call(self, event: Any, ctx: Any, session: Any, given: Given) -> Any:
        """Call the provider's function."""
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for name, only_positional, source in self.arguments:
            value = source(event, ctx, session, given)
            if only_positional:
                positional.append(value)
            else:
                named[name] = value
        return self.wanted.provider(*positional, **named)


class Plan:
    """All that a handler's parameters depend on, in the order in which it must be opened."""

    def __init__(self, handler: Subject, *, batch: bool, replaced: Replaced | None = None) -> None:
        self.worker: dict[Depends, Step] = {}
        self.message: dict[Depends, Step] = {}
        self.wants_session = False
        self._handler = handler
        self._batch = batch
        self._replaced = replaced or {}
        self._path: list[Depends] = []

    def __bool__(self) -> bool:
        return bool(self.worker or self.message)

    def add(self, wanted: Depends) -> Source:
        """Plan this provider and all it depends on; raises `PluginError` where that cannot be."""
        steps = self.worker if wanted.scope == "worker" else self.message
        if wanted not in steps:
            if wanted in self._path:
                circle = [*self._path[self._path.index(wanted) :], wanted]
                raise PluginError(
                    f"{self._handler.label}: providers depend on each other in a circle: "
                    + " needs ".join(each.name for each in circle)
                )
            self._path.append(wanted)
            replacement = self._replaced.get(wanted.provider)
            called = wanted if replacement is None else Depends(replacement, wanted.scope)
            steps[wanted] = Step(called, self._arguments(called))
            self._path.pop()
        return provided(wanted)

    def _arguments(self, wanted: Depends) -> tuple[tuple[str, bool, Source], ...]:
        subject = Subject(
            wanted.provider,
            f"{self._handler.label}: the provider {wanted.name} ({wanted.place})",
            self._handler.namespace,
        )
        found: list[tuple[str, bool, Source]] = []
        for parameter, annotation in parameters(subject):
            source = self._source(subject, wanted, parameter, annotation)
            if source is not None:
                found.append((parameter.name, parameter.kind is parameter.POSITIONAL_ONLY, source))
        return tuple(found)

    def _source(
        self, subject: Subject, wanted: Depends, parameter: inspect.Parameter, annotation: Any
    ) -> Source | None:
        plain = strip(annotation)
        other = depends(annotation)
        if other is not None:
            if wanted.scope == "worker" and other.scope != "worker":
                raise refusal(
                    subject, parameter.name, f"depends on {other.name}, which lives for one message only",
                    hint=f'Give it the same scope: Depends({other.name}, scope="worker").',
                )  # fmt: skip
            return self.add(other)
        source: Source
        if plain is Context:
            source = the_context
        elif is_session(plain):
            source = the_session
        elif (logged := log_source(plain)) is not None:
            source = logged
            self.wants_session = True
        elif event_types(plain) is not None or batch_types(plain) is not None:
            if self._batch is not (batch_types(plain) is not None):
                wrong = (
                    "one event, but the handler takes a batch"
                    if self._batch
                    else "a batch, but the handler takes one event"
                )
                raise refusal(subject, parameter.name, f"asks for {wrong}")
            source = the_event
        elif parameter.default is not parameter.empty:
            return None
        else:
            raise refusal(
                subject, parameter.name, f"is annotated {inspect.formatannotation(annotation)}, which nothing can fill"
            )
        if wanted.scope == "worker":
            raise refusal(
                subject, parameter.name, "belongs to one message, and the provider to the whole worker",
                hint='Leave out scope="worker", or the parameter.',
            )  # fmt: skip
        self.wants_session = self.wants_session or source is the_session
        return source


def depends(annotation: Any) -> Depends | None:
    """The `Depends` of an annotation, None where there is none."""
    return next((remark for remark in remarks(annotation) if isinstance(remark, Depends)), None)


def _named(provider: object) -> str:
    return getattr(provider, "__qualname__", None) or type(provider).__name__
