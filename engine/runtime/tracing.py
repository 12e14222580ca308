"""Traces: a span for each handled message, and W3C Trace Context carried on in all that it leads to.

Without OpenTelemetry a handler's events still carry on the `traceparent` of the message that caused them,
and so do retries, delays, dead letters and redrives, which keep foreign headers: no trace breaks at a worker
that does not take part in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigurationError
from engine.model.message import Headers
from engine.runtime.telemetry import CARRIED

if TYPE_CHECKING:
    from engine.model.message import Message
    from engine.runtime.context import Context
    from engine.runtime.job import Job

#: A trace state that a message may bring along, in characters (https://www.w3.org/TR/trace-context/#tracestate-header).
_LONGEST = 512


def trace_context(headers: Headers) -> dict[str, str]:
    """The trace context of a message, whoever wrote it; empty where it has none."""
    found = {name: headers.get(name) for name in CARRIED}
    return {name: value for name, value in found.items() if type(value) is str and len(value) <= _LONGEST}


def carry(ctx: Context, jobs: Sequence[Job], carried: Mapping[str, str] | None) -> None:
    """Give what a handler emitted its trace context: that of the span, else of the message which caused it."""
    by_cause: dict[str, dict[str, str]] = {}
    if not carried:
        by_cause = {job.event_id: trace_context(job.message.headers) for job in jobs if job.message.headers}
        if not any(by_cause.values()):
            return
    for event, message in zip(ctx.emitted, ctx.messages, strict=True):
        trace = carried or by_cause.get(event.causation_id or "")
        if trace:
            message.headers = {**message.headers, **trace}


class Spans:
    """Makes the spans, with the tracer of OpenTelemetry's global provider."""

    def __init__(self) -> None:
        try:
            from opentelemetry import trace
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError:
            raise ConfigurationError(
                "traces need the package opentelemetry-api", hint="Install it: pip install 'warren[traces]'."
            ) from None
        self._api = trace
        self._tracer = trace.get_tracer("warren")
        self._propagator = TraceContextTextMapPropagator()

    async def around(
        self, queue: str, handler: str, jobs: Sequence[Job], ctx: Context, call: Callable[[], Awaitable[None]]
    ) -> Mapping[str, str]:
        """Call the handler within its span; the trace context for what it emitted."""
        api = self._api
        parents = [self._propagator.extract(trace_context(job.message.headers)) for job in jobs]
        attributes: dict[str, Any] = {
            "messaging.system": "rabbitmq",
            "messaging.destination.name": queue,
            "messaging.operation.type": "process",
            "warren.handler": handler,
        }
        links: list[Any] = []
        if len(jobs) == 1:
            attributes |= {
                "messaging.message.id": ctx.event.id,
                "messaging.message.conversation_id": ctx.event.correlation_id or ctx.event.id,
                "warren.event.type": ctx.event.type,
                "warren.attempt": ctx.attempt,
            }
        else:
            attributes["messaging.batch.message_count"] = len(jobs)
            contexts = [api.get_current_span(parent).get_span_context() for parent in parents]
            links = [api.Link(context) for context in contexts if context.is_valid]
        with self._tracer.start_as_current_span(
            f"process {queue}",
            context=parents[0] if len(jobs) == 1 else None,
            kind=api.SpanKind.CONSUMER,
            attributes=attributes,
            links=links,
            record_exception=False,  # its text may hold a part of the payload
            set_status_on_exception=False,
        ) as span:
            carried: dict[str, str] = {}
            self._propagator.inject(carried)
            try:
                await call()
            except BaseException as error:
                span.set_status(api.StatusCode.ERROR, type(error).__name__)
                span.set_attribute("error.type", type(error).__name__)
                raise
        return carried

    def inject(self, message: Message) -> None:
        """Give a message that an application publishes the context of the present span, if there is one."""
        carried: dict[str, str] = {}
        self._propagator.inject(carried)
        if carried:
            message.headers = {**message.headers, **carried}


#: None costs one comparison a message.
spans: Spans | None = None


def enable() -> None:
    """Trace from now on, in this process; raises `ConfigurationError` without OpenTelemetry."""
    global spans
    if spans is None:
        spans = Spans()
