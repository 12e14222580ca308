"""`@command_handler` and `@query_handler`: functions that alone take a command, or answer a query."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from engine.model.event import EventData
from engine.model.handler import DEFAULT_TIMEOUT, Key, declaring
from engine.model.place import Place
from engine.model.request import Query
from engine.model.subjects import Role

if TYPE_CHECKING:
    from engine.model.retry import RetryPolicy

F = TypeVar("F", bound=Callable[..., Any])


def command_handler(
    *subjects: type[EventData] | str,
    queue: str | None = None,
    retry: RetryPolicy | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    concurrency: int | None = None,
    prefetch: int | None = None,
    key: Key | None = None,
    idempotency_key: Key | None = None,
    emits: Iterable[type[EventData]] = (),
    circuit: int | None = None,
    partitions: int | None = None,
    order: Literal["strict"] | None = None,
) -> Callable[[F], F]:
    """Declare a function as the one handler of commands, by class or type.

    It is a handler like any other (see `handler`): retried, once in its effect, dead-lettered when it gives up. What it returns is
    the reply, for whoever waits for one, and is sent after its commit; `raise Rejected(…)` refuses. Its queue is bound to nothing: a command comes
    to it by `engine.send`, `engine.request` and `ctx.send`, and only to it. Raises `PluginError`.
    """
    return declaring(
        Place.above("command_handler"),
        Role.COMMAND,
        subjects,
        queue=queue,
        retry=retry,
        timeout=timeout,
        concurrency=concurrency,
        prefetch=prefetch,
        key=key,
        idempotency_key=idempotency_key,
        emits=emits,
        circuit=circuit,
        partitions=partitions,
        order=order,
    )


def query_handler(
    *subjects: type[Query[Any]] | str,
    queue: str | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    concurrency: int | None = None,
    prefetch: int | None = None,
) -> Callable[[F], F]:
    """Declare a function as the one that answers queries, by class or type. What it returns is the reply.

    A query changes nothing, so nothing is written down of it: it is tried once, and what goes wrong is told to
    whoever asked. It cannot emit, and what it wrote with its session is undone. Raises `PluginError`.
    """
    return declaring(
        Place.above("query_handler"),
        Role.QUERY,
        subjects,
        queue=queue,
        timeout=timeout,
        concurrency=concurrency,
        prefetch=prefetch,
    )
