"""The `@handler` decorator and what it says: a handler as a value, checked when it is declared."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from engine.errors import PluginError
from engine.model.event import EventData
from engine.model.partition import MAX_PARTITIONS
from engine.model.place import Place, shown_path, stem_of
from engine.model.subjects import Role, read_emits, read_subjects
from engine.model.topology import check_exchange_name, check_queue_name

if TYPE_CHECKING:
    from engine.model.retry import RetryPolicy

#: The topic exchange of events, unless the settings or the handler name another.
DEFAULT_EXCHANGE = "events"
#: Messages that one handler runs at a time.
DEFAULT_CONCURRENCY = 16
#: Seconds that a handler may run.
DEFAULT_TIMEOUT = 60.0

#: Events that a batch handler gets at a time, unless it says otherwise, and at most.
DEFAULT_BATCH = 100
MAX_BATCH = 10_000
#: Seconds that a batch waits for its events at most.
LONGEST_BATCH_WAIT = 60.0

#: AMQP has the prefetch in 16 bits, and 0 means no limit.
MAX_PREFETCH = 65535
#: Prefetched messages wait for a lane at most this long, in seconds: half of RabbitMQ's consumer_timeout.
PATIENCE = 900.0
_MOST_LANEFULS = 16.0

#: Where a module keeps the handlers that were declared in it.
DECLARED = "__warren_handlers__"

F = TypeVar("F", bound=Callable[..., Any])
#: The name of a payload field, or a function of the event.
Key: TypeAlias = "str | Callable[[Any], object]"


@dataclass(frozen=True, slots=True, eq=False)
class HandlerSpec:
    """A handler as it was declared. `models` are the event classes among its subjects.

    Of a command or query handler `patterns` are the types that it takes, to which nothing is bound.

    `timeout` and `batch_wait` are in seconds. `queue` is the name that was asked for, or None; `exchange_named`
    says whether `exchange` was. `partitions` is 0 where the order is kept within a worker only;
    `strict`: what follows an event that failed waits for it. `namespace` holds the names around a handler that was
    declared inside a function, for its annotations.
    """

    function: Callable[..., Any]
    name: str
    module_stem: str
    patterns: tuple[str, ...]
    models: tuple[type[EventData], ...] = ()
    queue: str | None = None
    exchange: str = DEFAULT_EXCHANGE
    exchange_named: bool = False
    retry: RetryPolicy | None = None
    timeout: float = DEFAULT_TIMEOUT
    concurrency: int | None = None
    prefetch: int | None = None
    key: Key | None = None
    idempotency_key: Key | None = None
    emits: tuple[type[EventData], ...] = ()
    batch: int | None = None
    batch_wait: float = 0.0
    circuit: int | None = None
    partitions: int = 0
    strict: bool = False
    role: Role = Role.EVENT
    is_async: bool = True
    file: str = ""
    line: int = 0
    namespace: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    @property
    def place(self) -> str:
        """Where it was declared, as `handlers/orders.py:12`."""
        return f"{shown_path(self.file)}:{self.line}"

    def queue_for(self, app: str) -> str:
        """The name of its queue in this application."""
        return self.queue if self.queue is not None else queue_name(app, self.module_stem, self.name)


def queue_name(app: str, stem: str, name: str) -> str:
    """The queue of a handler that names none: `<app>.<file stem>.<function>`."""
    return f"{app}.{stem}.{name}"


def default_prefetch(concurrency: int, timeout: float) -> int:
    """How many messages a handler's consumer holds: as many as its lanes get through in good time."""
    lanefuls = min(max(PATIENCE / timeout, 1.0), _MOST_LANEFULS)
    return min(math.ceil(concurrency * lanefuls), MAX_PREFETCH)


def handler(
    *subjects: type[EventData] | str,
    queue: str | None = None,
    exchange: str | None = None,
    retry: RetryPolicy | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    concurrency: int | None = None,
    prefetch: int | None = None,
    key: Key | None = None,
    idempotency_key: Key | None = None,
    emits: Iterable[type[EventData]] = (),
    batch: int | None = None,
    batch_wait: float = 0.0,
    circuit: int | None = None,
    partitions: int | None = None,
    order: Literal["strict"] | None = None,
) -> Callable[[F], F]:
    """Declare a function as the handler of events, by class or topic pattern.

    It gets a durable queue of its own, `<app>.<file stem>.<function>` or exactly `queue`, bound
    to its subjects on the topic exchange `exchange` (that of the settings unless named). `timeout`
    is in seconds; `concurrency` is how many messages run at a time in a worker, `prefetch` how many
    it holds. `key` names what is handled serially; `idempotency_key` replaces the event id in
    telling duplicates; each is a payload field or a plain function of the event. `emits` lists all that
    the handler may emit. A handler of `list[Event[…]]` gets up to `batch` events (100 unless said) at a time,
    and waits at most `batch_wait` seconds for them. After `circuit` failures in a row, of one cause, its queue is
    left alone for a while; 0 never, None as the settings say. With `partitions` events of one `key` are begun in their order in
    the whole fleet; with `order="strict"` those that follow one that failed wait until it is handled or given up.
    The function is returned unchanged. Raises `PluginError`.
    """
    place = Place.above("handler")
    _check_batch(place.at, batch, batch_wait, prefetch)
    return declaring(
        place,
        Role.EVENT,
        subjects,
        queue=queue,
        exchange=exchange,
        retry=retry,
        timeout=timeout,
        concurrency=concurrency,
        prefetch=prefetch,
        key=key,
        idempotency_key=idempotency_key,
        emits=emits,
        circuit=circuit,
        batch=batch,
        batch_wait=float(batch_wait),
        partitions=partitions,
        order=order,
    )


def declaring(
    place: Place,
    role: Role,
    subjects: tuple[object, ...],
    *,
    queue: str | None = None,
    exchange: str | None = None,
    retry: RetryPolicy | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    concurrency: int | None = None,
    prefetch: int | None = None,
    key: Key | None = None,
    idempotency_key: Key | None = None,
    emits: Iterable[type[EventData]] = (),
    circuit: int | None = None,
    batch: int | None = None,
    batch_wait: float = 0.0,
    partitions: int | None = None,
    order: str | None = None,
) -> Callable[[F], F]:
    """What declares a function as a handler of this role; see `handler` for the options. Raises `PluginError`."""
    at = place.at
    patterns, models = read_subjects(subjects, at, role)
    _check_options(at, queue, exchange, retry, timeout, concurrency, prefetch, key, idempotency_key)
    if circuit is not None and (type(circuit) is not int or circuit < 0):
        raise PluginError(f"{at}: circuit={circuit!r} is not a whole number from 0", hint="0 turns the circuit off.")
    strict = _check_order(at, key, batch, partitions, order)
    emitted = read_emits(emits, at)

    def declare(function: F) -> F:
        _check_function(function, at)
        spec = HandlerSpec(
            function=function,
            name=function.__name__,
            module_stem=stem_of(place.scope, place.file),
            patterns=patterns,
            models=models,
            queue=queue,
            exchange=exchange or DEFAULT_EXCHANGE,
            exchange_named=exchange is not None,
            retry=retry,
            timeout=float(timeout),
            concurrency=concurrency,
            prefetch=prefetch,
            key=key,
            idempotency_key=idempotency_key,
            emits=emitted,
            batch=batch,
            batch_wait=batch_wait,
            circuit=circuit,
            partitions=partitions or (1 if strict else 0),
            strict=strict,
            role=role,
            is_async=inspect.iscoroutinefunction(function),
            file=place.file,
            line=place.line,
            namespace=place.nearby,
        )
        function.__warren_handler__ = spec  # type: ignore[attr-defined]
        place.scope.setdefault(DECLARED, []).append(spec)
        return function

    return declare


def assign_queues(app: str, specs: Iterable[HandlerSpec]) -> dict[str, HandlerSpec]:
    """The handlers by the names of their queues.

    Raises `PluginError` where two claim one name, or a name cannot be; both places are named.
    """
    owners: dict[str, HandlerSpec] = {}
    for spec in specs:
        name = spec.queue_for(app)
        try:
            check_queue_name(name)
        except PluginError as error:
            raise PluginError(f"{spec.place}: {spec.name}: {error.message}", hint=error.hint) from None
        other = owners.setdefault(name, spec)
        if other is not spec:
            raise PluginError(
                f"Two handlers claim the queue {name}: {other.name} at {other.place} and {spec.name} at {spec.place}",
                hint="Rename one of the functions, or give it a queue of its own with queue=.",
            )
    _check_alone(owners.values())
    return owners


def _check_alone(specs: Iterable[HandlerSpec]) -> None:
    """A command goes to one queue: two handlers cannot both take it."""
    takers: dict[str, HandlerSpec] = {}
    for spec in specs:
        for kind in spec.patterns if spec.role is not Role.EVENT else ():
            other = takers.setdefault(kind, spec)
            if other is not spec:
                raise PluginError(
                    f"Two handlers take the {spec.role} {kind}: {other.name} at {other.place}"
                    f" and {spec.name} at {spec.place}",
                    hint=f"A {spec.role} has one handler. What several are to hear of is an event: publish one.",
                )


def _check_options(
    at: str,
    queue: object,
    exchange: object,
    retry: object,
    timeout: object,
    concurrency: object,
    prefetch: object,
    key: object,
    idempotency_key: object,
) -> None:
    for name, value, check in (("queue", queue, check_queue_name), ("exchange", exchange, check_exchange_name)):
        if value is None:
            continue
        if not isinstance(value, str):
            raise PluginError(f"{at}: {name}={value!r} is not a name")
        try:
            check(value)
        except PluginError as error:
            raise PluginError(f"{at}: {error.message}", hint=error.hint) from None
    seconds = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not seconds or not 0 < float(timeout) < math.inf:  # type: ignore[arg-type]
        raise PluginError(f"{at}: timeout={timeout!r} is not a number of seconds above 0")
    for name, number in (("concurrency", concurrency), ("prefetch", prefetch)):
        if number is not None and (type(number) is not int or not 1 <= number <= MAX_PREFETCH):
            raise PluginError(f"{at}: {name}={number!r} is not a whole number from 1 to {MAX_PREFETCH}")
    for name, value in (("key", key), ("idempotency_key", idempotency_key)):
        if value is not None and not callable(value) and not (isinstance(value, str) and value.isidentifier()):
            raise PluginError(f"{at}: {name}={value!r} is neither the name of a payload field nor a function")
        if inspect.iscoroutinefunction(value):
            raise PluginError(f"{at}: {name}= is an async function", hint="It is called at once: write a plain def.")
    if retry is not None:
        from engine.model.retry import RetryPolicy  # imports tenacity on use

        if not isinstance(retry, RetryPolicy):
            raise PluginError(
                f"{at}: retry= is {type(retry).__name__}", hint="Write retry=RetryPolicy(max_attempts=5)."
            )


def _check_batch(at: str, batch: object, batch_wait: object, prefetch: int | None) -> None:
    if batch is not None and (type(batch) is not int or not 1 <= batch <= MAX_BATCH):
        raise PluginError(f"{at}: batch={batch!r} is not a whole number from 1 to {MAX_BATCH}")
    if type(batch_wait) not in (int, float) or not 0 <= float(batch_wait) <= LONGEST_BATCH_WAIT:  # type: ignore[arg-type]
        raise PluginError(
            f"{at}: batch_wait={batch_wait!r} is not a number of seconds from 0 to {LONGEST_BATCH_WAIT:g}"
        )
    if isinstance(batch, int) and prefetch is not None and prefetch < batch:
        raise PluginError(
            f"{at}: a batch of {batch} never fills with prefetch={prefetch}",
            hint="Leave prefetch out, or make it at least the size of a batch.",
        )


def _check_order(at: str, key: object, batch: object, partitions: object, order: object) -> bool:
    """Whether the order is strict."""
    if partitions is not None and (type(partitions) is not int or not 1 <= partitions <= MAX_PARTITIONS):
        raise PluginError(f"{at}: partitions={partitions!r} is not a whole number from 1 to {MAX_PARTITIONS}")
    if order not in (None, "strict"):
        raise PluginError(
            f'{at}: order={order!r} is not "strict"',
            hint="Leave it out where an event that failed need not hold up those after it.",
        )
    if partitions is None and order is None:
        return False
    said = f"partitions={partitions}" if order is None else 'order="strict"'
    if key is None:
        raise PluginError(f"{at}: {said} without a key", hint='Say what is kept in order: key="order_id".')
    if batch is not None:
        raise PluginError(
            f"{at}: {said} and a batch cannot be had together", hint="A batch mixes keys. Take one event at a time."
        )
    return order is not None


def _check_function(function: object, at: str) -> None:
    if not inspect.isfunction(function):
        raise PluginError(
            f"{at} stands on {type(function).__name__}", hint="A handler is an async def or def function."
        )
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise PluginError(
            f"{at}: {function.__name__} yields", hint="A handler returns; use ctx.emit(…) to emit events."
        )
