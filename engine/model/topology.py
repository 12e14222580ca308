"""Exchanges, queues and bindings as plain values, computed from the handlers.

    events (topic) ──pattern──▶ <queue> ──<app>.dlx (direct)──▶ <queue>.dlq
    <app>.delay.<d> (TTL d) ──▶ <app>.due ──<app>.dlx──▶ <app>.due.dlq
    events (topic) ──journal's patterns──▶ <app>.journal ──<app>.dlx──▶ <app>.journal.dlq
                                     or ──▶ <app>.journal.stream (a stream: a log, read and never consumed)
    events (topic) ──pattern──▶ <queue> ──router──▶ <queue>.p0-of-4 … p3-of-4 ──<app>.dlx──▶ <queue>.dlq

Every queue but the stream is a quorum queue. What dead-letters does so at least once, which RabbitMQ
grants only with `reject-publish` (https://www.rabbitmq.com/docs/quorum-queues#dead-lettering).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from engine.errors import ConfigurationError, PluginError
from engine.model.delay import RUNGS, rung_queue
from engine.model.partition import is_partition, partition_names
from engine.settings import Kept

#: After so many deliveries a message is dead-lettered: a backstop against loops.
DELIVERY_LIMIT: Final = 1000

#: The limit of a dead-letter queue. It is the end of the line: what meets its limit there is
#: dropped, and so is (tried on 3.10 and 4.0) what a cycle through the exchange leads back into
#: it. RabbitMQ 4 sets 20 where none is given, and 3.10 drops at once when told -1 (unlimited).
#: So: a limit that nobody meets.
NO_DELIVERY_LIMIT: Final = 2**31 - 1

#: The argument of a queue that delivers to one of its consumers at a time.
#: https://www.rabbitmq.com/docs/consumers#single-active-consumer
SINGLE_ACTIVE: Final = "x-single-active-consumer"

#: The longest time-out of a query in seconds, and how many wait in a queue before more are refused.
LONGEST_QUERY: Final = 300
MOST_QUERIES: Final = 100_000
#: How often a query is delivered again after its worker died or lost the broker.
QUERY_DELIVERIES: Final = 2

#: How the name of the journal's stream ends.
STREAM_SUFFIX: Final = ".journal.stream"
#: Retention drops whole segments of a stream: so many hold what it may have, but none is larger than this in bytes.
SEGMENTS: Final = 20
MAX_SEGMENT: Final = 500_000_000

#: The longest name or routing key in bytes, and of a queue that has a dead-letter queue beside it.
MAX_NAME: Final = 255
MAX_QUEUE_NAME: Final = MAX_NAME - len(".dlq")

Arguments = Mapping[str, "str | int"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange."""

    name: str
    kind: str = "topic"  # or "direct"
    arguments: Arguments = field(default_factory=dict[str, "str | int"])


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue with its AMQP arguments (`x-…`)."""

    name: str
    arguments: Arguments = field(default_factory=dict[str, "str | int"])


@dataclass(frozen=True, slots=True)
class Binding:
    """Messages of `exchange` whose routing key matches `pattern` go to `queue`."""

    exchange: str
    queue: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Topology:
    """All that one application needs on a broker."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()


class Difference(NamedTuple):
    """One thing that the broker has otherwise: `problem` is missing or mismatch."""

    kind: str  # "exchange", "queue", "binding"
    name: str
    problem: str
    detail: str


class Route(NamedTuple):
    """A handler's queue and what is to reach it."""

    queue: str
    exchange: str
    patterns: Sequence[str]
    #: Into so many partitions its messages are routed by their key; 0: they are handled where they are.
    partitions: int = 0


def dlx_name(app: str) -> str:
    """The exchange through which the application's queues dead-letter."""
    return f"{app}.dlx"


def dlq_name(queue: str) -> str:
    """The dead-letter queue beside a queue."""
    return f"{queue}.dlq"


def due_name(app: str) -> str:
    """The queue where delayed messages arrive when their rung's TTL is over."""
    return f"{app}.due"


def journal_name(app: str) -> str:
    """The queue from which foreign events go into the log."""
    return f"{app}.journal"


def stream_name(app: str) -> str:
    """The stream that has the journal where it does not go into the database."""
    return f"{app}{STREAM_SUFFIX}"


def is_stream(queue: Queue) -> bool:
    """Whether a queue is a log, which is read and never consumed."""
    return queue.arguments.get("x-queue-type") == "stream"


def handler_topology(app: str, routes: Sequence[Route]) -> Topology:
    """What the handlers need: their exchanges, and a queue each with its dead-letter queue.

    Raises `PluginError` for a pattern or name that cannot be, and for a queue that two routes claim.
    """
    _dead_letter_exchange(app)
    reserved = {due_name(app), journal_name(app), stream_name(app), *(rung_queue(app, ms) for ms in RUNGS)}
    for route in routes:
        if route.queue in reserved or route.queue.endswith(".dlq") or is_partition(route.queue):
            raise PluginError(
                f"The queue name {route.queue!r} is one that Warren makes for itself.", hint="Choose another queue=."
            )
    return _routed(app, routes)


def journal_topology(app: str, exchange: str, patterns: Sequence[str], stream: Kept | None = None) -> Topology:
    """The queue that takes events of these patterns for the log, or the stream that is the log; nothing without patterns.

    Raises `ConfigurationError` for a pattern that cannot be.
    """
    if not patterns:
        return Topology()
    try:
        if stream is not None:
            return _logged(stream_name(app), exchange, patterns, stream)
        return _routed(app, [Route(journal_name(app), exchange, patterns)])
    except PluginError as error:
        raise ConfigurationError(
            f"The setting journal: {error.message}", hint=error.hint or 'For example journal = ["order.*"].'
        ) from None


def _logged(stream: str, exchange: str, patterns: Sequence[str], kept: Kept) -> Topology:
    check_queue_name(stream)
    check_exchange_name(exchange)
    for pattern in patterns:
        check_pattern(pattern)
    arguments: dict[str, str | int] = {
        "x-queue-type": "stream",
        "x-max-age": f"{round(kept.days * 86400)}s",
        "x-max-length-bytes": kept.max_bytes,
        "x-stream-max-segment-size-bytes": min(kept.max_bytes // SEGMENTS, MAX_SEGMENT),
    }
    bindings = tuple(Binding(exchange, stream, pattern) for pattern in dict.fromkeys(patterns))
    return Topology((Exchange(exchange),), (Queue(stream, arguments),), bindings)


def query_topology(queues: Sequence[str]) -> Topology:
    """The queues of query handlers: bound to nothing, and what nobody answers in time is gone.

    A query that killed its worker so many times is dropped. Raises `PluginError` for a name that cannot be.
    """
    for queue in queues:
        check_queue_name(queue)
    arguments: dict[str, str | int] = {
        "x-queue-type": "quorum",
        "x-delivery-limit": QUERY_DELIVERIES,
        "x-message-ttl": LONGEST_QUERY * 1000,
        "x-max-length": MOST_QUERIES,
        "x-overflow": "reject-publish",
    }
    return Topology(queues=tuple(Queue(queue, arguments) for queue in queues))


def _routed(app: str, routes: Sequence[Route]) -> Topology:
    dlx = _dead_letter_exchange(app)
    exchanges = {dlx.name: dlx}
    queues: dict[str, Queue] = {}
    bindings: dict[Binding, None] = {}
    for route in routes:
        check_queue_name(route.queue)
        if route.queue in queues:
            raise PluginError(f"Two handlers claim the queue {route.queue!r}.", hint="Give one of them another queue=.")
        check_exchange_name(route.exchange)
        if route.exchange == dlx.name:
            raise PluginError(f"The exchange {dlx.name!r} is for dead letters.", hint="Choose another exchange=.")
        exchanges.setdefault(route.exchange, Exchange(route.exchange))
        for queue in (*_handled(app, route), _dead_letter_queue(route.queue)):
            queues[queue.name] = queue
        for pattern in route.patterns:
            check_pattern(pattern)
            bindings[Binding(route.exchange, route.queue, pattern)] = None
        bindings[Binding(dlx.name, dlq_name(route.queue), route.queue)] = None
    return Topology(tuple(exchanges.values()), tuple(queues.values()), tuple(bindings))


def delay_topology(app: str) -> Topology:
    """The rungs, and the due queue in which they end."""
    due = due_name(app)
    rungs = [Queue(rung_queue(app, ms), {**_quorum("", due), "x-message-ttl": ms}) for ms in RUNGS]
    return Topology(
        (_dead_letter_exchange(app),),
        (*rungs, _queue(app, due), _dead_letter_queue(due)),
        (Binding(dlx_name(app), dlq_name(due), due),),
    )


def _dead_letter_exchange(app: str) -> Exchange:
    try:
        _check_name("application", app, MAX_NAME)
        _check_name("exchange", dlx_name(app), MAX_QUEUE_NAME - len(".delay.250ms"))
    except PluginError as error:
        raise ConfigurationError(
            f"The application's name cannot be {app!r}: {error}", hint="Set app otherwise."
        ) from None
    return Exchange(dlx_name(app), "direct")


def _quorum(exchange: str, routing_key: str) -> dict[str, str | int]:
    """A queue that dead-letters to exchange and key, and loses nothing on the way."""
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": exchange,
        "x-dead-letter-routing-key": routing_key,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def _queue(app: str, name: str) -> Queue:
    return Queue(name, _quorum(dlx_name(app), name))


def _handled(app: str, route: Route) -> list[Queue]:
    """A handler's queue, and its partitions. A queue with an order is consumed by one at a time.

    What the broker dead-letters from a partition goes where the dead letters of its handler's queue go.
    """
    if not route.partitions:
        return [_queue(app, route.queue)]
    check_queue_name(partition_names(route.queue, route.partitions)[-1])
    arguments = {**_quorum(dlx_name(app), route.queue), SINGLE_ACTIVE: True}
    return [Queue(name, arguments) for name in (route.queue, *partition_names(route.queue, route.partitions))]


def _dead_letter_queue(queue: str) -> Queue:
    return Queue(dlq_name(queue), {"x-queue-type": "quorum", "x-delivery-limit": NO_DELIVERY_LIMIT})


T = TypeVar("T", Exchange, Queue)


def merge(*topologies: Topology) -> Topology:
    """One topology of several; raises `ConfigurationError` where two want one name otherwise."""
    return Topology(
        _merged("exchange", [exchange for topology in topologies for exchange in topology.exchanges]),
        _merged("queue", [queue for topology in topologies for queue in topology.queues]),
        tuple(dict.fromkeys(binding for topology in topologies for binding in topology.bindings)),
    )


def _merged(kind: str, items: Sequence[T]) -> tuple[T, ...]:
    merged: dict[str, T] = {}
    for item in items:
        if merged.setdefault(item.name, item) != item:
            raise ConfigurationError(f"The {kind} {item.name!r} is wanted in two ways: {item} and {merged[item.name]}.")
    return tuple(merged.values())


def compare(wanted: Topology, found: Topology) -> list[Difference]:
    """Where `found` lacks what is wanted, or has it otherwise. What it has besides is its own affair."""
    differences: list[Difference] = []
    exchanges = {exchange.name: exchange for exchange in found.exchanges}
    for exchange in wanted.exchanges:
        there = exchanges.get(exchange.name)
        if there is None:
            differences.append(Difference("exchange", exchange.name, "missing", f"{exchange.kind} exchange"))
        elif details := _changes(
            {"type": exchange.kind, **exchange.arguments}, {"type": there.kind, **there.arguments}
        ):
            differences.append(Difference("exchange", exchange.name, "mismatch", details))
    queues = {queue.name: queue for queue in found.queues}
    for queue in wanted.queues:
        present = queues.get(queue.name)
        if present is None:
            differences.append(Difference("queue", queue.name, "missing", "queue"))
        elif details := _changes(queue.arguments, present.arguments):
            differences.append(Difference("queue", queue.name, "mismatch", details))
    bound = set(found.bindings)
    for binding in wanted.bindings:
        if binding not in bound:
            detail = f"from {binding.exchange} by {binding.pattern}"
            differences.append(Difference("binding", binding.queue, "missing", detail))
    return differences


def _changes(wanted: Arguments, found: Arguments) -> str:
    return ", ".join(
        f"{name} is {found.get(name, 'not set')!r} instead of {wanted.get(name, 'not set')!r}"
        for name in sorted({*wanted, *found})
        if wanted.get(name) != found.get(name)
    )


def check_pattern(pattern: str) -> None:
    """Raises `PluginError` for a topic pattern that RabbitMQ refuses, or takes otherwise than one would think."""
    if not pattern:
        raise PluginError("A topic pattern is empty.", hint='Name an event type, or use "#" for all.')
    _check_text("topic pattern", pattern, MAX_NAME)
    for word in pattern.split("."):
        if not word:
            raise PluginError(
                f"The topic pattern {pattern!r} has an empty word.",
                hint="Words stand between single dots: order.placed",
            )
        if len(word) > 1 and ("*" in word or "#" in word):
            raise PluginError(
                f"In the topic pattern {pattern!r} the word {word!r} is no wildcard: RabbitMQ takes it literally.",
                hint='"*" stands for one whole word, "#" for any number of them: order.*',
            )


def check_queue_name(name: str) -> None:
    """Raises `PluginError` for a queue name that cannot be declared, with room for its `.dlq`."""
    _check_name("queue", name, MAX_QUEUE_NAME)


def check_exchange_name(name: str) -> None:
    """Raises `PluginError` for an exchange name that cannot be declared."""
    if name != "amq.topic":  # RabbitMQ's own durable topic exchange
        _check_name("exchange", name, MAX_NAME)


def _check_name(kind: str, name: str, longest: int) -> None:
    if not name:
        raise PluginError(f"The name of a {kind} is empty.")
    if name.startswith("amq."):
        raise PluginError(f"The {kind} name {name!r} begins with amq., which RabbitMQ keeps for itself.")
    _check_text(f"{kind} name", name, longest)


def _check_text(what: str, text: str, longest: int) -> None:
    if not text.isprintable() or text != text.strip():
        raise PluginError(f"The {what} {text!r} has spaces around it or characters that do not print.")
    if len(text.encode()) > longest:
        raise PluginError(f"The {what} {text[:40]!r}… is longer than {longest} bytes.")


def topic_matches(pattern: str, key: str) -> bool:
    """Whether a topic exchange routes `key` by `pattern`: `*` is one word, `#` any number, none included."""
    words = key.split(".") if key else []  # to RabbitMQ the empty key has no words
    wanted = pattern.split(".") if pattern else []
    at = seen = 0
    hash_at, resume = -1, 0
    while seen < len(words):
        if at < len(wanted) and wanted[at] == "#":
            hash_at, resume = at, seen
            at += 1
        elif at < len(wanted) and wanted[at] in ("*", words[seen]):
            at += 1
            seen += 1
        elif hash_at >= 0:
            # Let the last # take one word more and try again.
            resume += 1
            at, seen = hash_at + 1, resume
        else:
            return False
    return all(word == "#" for word in wanted[at:])
