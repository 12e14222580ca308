"""Every name that Warren measures by: one table, which the exporters read and docs/telemetry.md shows.

Nothing is counted for telemetry alone. What is here is counted anyway, and read when somebody asks.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]

#: Labels of what is told of each handler.
HANDLER = ("app", "queue", "handler")


class Metric(NamedTuple):
    """A metric under the name that Prometheus shows; a counter's counts from the worker's start."""

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    meaning: str
    #: The counter of `HandlerStats` that it is, "" for what is not told of a handler.
    field: str = ""


METRICS: tuple[Metric, ...] = (
    Metric("warren_messages_handled_total", "counter", "messages", HANDLER, "handled, effect committed", "handled"),
    Metric("warren_attempts_failed_total", "counter", "attempts", HANDLER, "failed, whatever came next", "failed"),
    Metric("warren_messages_retried_total", "counter", "messages", HANDLER, "sent again after a failure", "retried"),
    Metric("warren_messages_dead_total", "counter", "messages", HANDLER, "dead-lettered", "dead"),
    Metric(
        "warren_messages_duplicate_total", "counter", "messages", HANDLER, "seen before, no second effect", "duplicates"
    ),
    Metric("warren_messages_stale_total", "counter", "messages", HANDLER, "copies with a successor, skipped", "stale"),
    Metric("warren_messages_parked_total", "counter", "messages", HANDLER, "in another worker's hand", "parked"),
    Metric("warren_messages_in_flight", "gauge", "messages", HANDLER, "claimed and not yet settled", "in_flight"),
    Metric("warren_handler_duration_seconds", "histogram", "seconds", HANDLER, "one attempt, start to end", "latency"),
    Metric("warren_outbox_messages", "gauge", "messages", ("app",), "committed by this worker, not yet confirmed"),
    Metric("warren_broker_up", "gauge", "0 or 1", ("app",), "whether the broker is connected"),
    Metric("warren_database_up", "gauge", "0 or 1", ("app",), "whether the database takes what is written"),
    Metric("warren_worker_info", "gauge", "always 1", ("app", "worker", "version"), "which worker this is"),
)

#: Of the 75 buckets in which durations are counted, every fourth is exported: 0.1 ms, then by 2.4, to 20 minutes.
BUCKET_STEP = 4


class Span(NamedTuple):
    """A span of a trace, and its attributes."""

    name: str
    kind: str
    attributes: tuple[str, ...]
    meaning: str


_MESSAGING = ("messaging.system", "messaging.destination.name", "messaging.message.id", "messaging.operation.type")

SPANS: tuple[Span, ...] = (
    Span(
        "process QUEUE",
        "consumer",
        (*_MESSAGING, "messaging.message.conversation_id", "warren.handler", "warren.event.type", "warren.attempt"),
        "one attempt at one message; child of the span in its `traceparent`",
    ),
    Span(
        "process QUEUE",
        "consumer",
        (*_MESSAGING[:2], "messaging.operation.type", "messaging.batch.message_count", "warren.handler"),
        "one call of a batch handler; linked to the span of each message",
    ),
)

#: The headers of W3C Trace Context (https://www.w3.org/TR/trace-context/), carried on in all that a message leads to.
CARRIED = ("traceparent", "tracestate")
