"""Providers: planned when the handler is bound, opened and closed in their scope."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, cast

import pytest

from engine import AsyncSession, Depends
from engine.errors import PluginError
from engine.model.event import Event, EventData, new_event
from engine.model.handler import HandlerSpec, handler
from engine.runtime.binding import Invoke, bind
from engine.runtime.context import Context
from engine.runtime.depends import Given
from engine.runtime.providers import Providers, supplied


class OrderPlaced(EventData, type="order.placed"):
    order_id: str


EVENT = new_event(OrderPlaced(order_id="o-1"), id="e-1", now=datetime(2026, 11, 23, tzinfo=UTC))
SESSION = cast("AsyncSession", object())


def bound(function: Any) -> Invoke:
    spec: HandlerSpec = function.__warren_handler__
    return bind(spec)


def refused(function: Any) -> str:
    with pytest.raises(PluginError) as caught:
        bound(function)
    assert "test_depends.py:" in caught.value.message
    return str(caught.value)


async def run(invoke: Invoke, providers: Providers | None = None) -> None:
    ctx = Context(EVENT)

    async def call(given: Given) -> None:
        await invoke(EVENT, ctx, SESSION, given)

    await supplied(invoke.plan, providers.given if providers else {}, call, EVENT, ctx, SESSION)


LOG: list[str] = []


@pytest.fixture(autouse=True)
def log() -> list[str]:
    LOG.clear()
    return LOG


def pool() -> Iterator[str]:
    LOG.append("open pool")
    yield "pool"
    LOG.append("close pool")


Pool = Annotated[str, Depends(pool, scope="worker")]


async def client(pool: Pool) -> AsyncIterator[str]:
    LOG.append("open client")
    yield f"client of {pool}"
    LOG.append("close client")


async def repository(event: Event[Any], ctx: Context, session: AsyncSession, pool: Pool) -> Any:
    LOG.append("open repository")
    return (event, ctx.event, session, pool)


Client = Annotated[str, Depends(client)]
Repository = Annotated[Any, Depends(repository)]


def greeting(name: Client, mark: str = "!") -> str:
    return f"hello {name}{mark}"


async def test_each_provider_is_called_once_in_its_scope_and_closed_in_reverse() -> None:
    seen: list[Any] = []

    @handler(OrderPlaced)
    async def handle(
        event: Event[OrderPlaced], hello: Annotated[str, Depends(greeting)], name: Client, repository: Repository
    ) -> None:
        LOG.append("handle")
        seen.append((event, hello, name, repository))

    invoke = bound(handle)
    assert invoke.wants_session  # a provider does
    providers = Providers()
    await providers.open([invoke.plan, invoke.plan])
    await run(invoke, providers)
    await run(invoke, providers)
    await providers.close()
    message = ["open client", "open repository", "handle", "close client"]
    assert ["open pool", *message, *message, "close pool"] == LOG
    assert seen[0] == (EVENT, "hello client of pool!", "client of pool", (EVENT, EVENT, SESSION, "pool"))


async def test_a_plain_handler_gets_them_too() -> None:
    @handler(OrderPlaced)
    def handle(name: Client) -> None:
        LOG.append(name)

    invoke = bound(handle)
    providers = Providers()
    await providers.open([invoke.plan])
    await run(invoke, providers)
    assert LOG[2] == "client of pool"


async def test_what_a_handler_raises_reaches_the_generator_and_is_never_swallowed() -> None:
    def careless() -> Iterator[None]:
        try:
            yield
        except ValueError:
            LOG.append("swallowed")

    @handler(OrderPlaced)
    async def handle(nothing: Annotated[None, Depends(careless)]) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await run(bound(handle))
    assert LOG == ["swallowed"]


async def test_a_provider_that_fails_when_the_worker_starts_is_named() -> None:
    async def broken() -> str:
        raise ConnectionError("refused")

    @handler(OrderPlaced)
    async def handle(pool: Pool, broken: Annotated[str, Depends(broken, scope="worker")]) -> None: ...

    providers = Providers()
    with pytest.raises(PluginError, match=r"test_depends.py:\d+: the provider .*broken failed when the worker started"):
        await providers.open([bound(handle).plan])
    await providers.close()
    assert LOG == ["open pool", "close pool"]


async def test_one_that_fails_to_close_does_not_keep_the_others_open(caplog: pytest.LogCaptureFixture) -> None:
    async def sticky(pool: Pool) -> AsyncIterator[None]:
        yield
        raise RuntimeError("stuck")

    @handler(OrderPlaced)
    async def handle(sticky: Annotated[None, Depends(sticky, scope="worker")]) -> None: ...

    providers = Providers()
    await providers.open([bound(handle).plan])
    await providers.close()
    assert LOG == ["open pool", "close pool"]
    assert "sticky failed when the worker closed it" in caplog.text


def first(other: Annotated[str, "replaced below"]) -> str:
    return other


def second(other: Annotated[str, Depends(first)]) -> str:
    return other


first.__annotations__["other"] = Annotated[str, Depends(second)]


def test_what_cannot_be_provided_is_refused_by_name() -> None:
    def unknown(size: int) -> None: ...
    def naked(size) -> None: ...  # type: ignore[no-untyped-def]
    def batch(events: list[Event[OrderPlaced]]) -> None: ...
    def about(ctx: Context) -> None: ...
    def narrow(client: Client) -> None: ...

    @handler(OrderPlaced)
    async def a(x: Annotated[None, Depends(unknown)]) -> None: ...
    @handler(OrderPlaced)
    async def b(x: Annotated[None, Depends(naked)]) -> None: ...
    @handler(OrderPlaced)
    async def c(x: Annotated[None, Depends(batch)]) -> None: ...
    @handler(OrderPlaced)
    async def d(x: Annotated[None, Depends(about, scope="worker")]) -> None: ...
    @handler(OrderPlaced)
    async def e(x: Annotated[None, Depends(narrow, scope="worker")]) -> None: ...
    @handler(OrderPlaced)
    async def f(x: Annotated[str, Depends(first)]) -> None: ...

    assert "unknown (" in (message := refused(a))
    assert "the parameter 'size' is annotated int, which nothing can fill" in message
    assert "the parameter 'size' has no annotation" in refused(b)
    assert "asks for a batch, but the handler takes one event" in refused(c)
    assert "the parameter 'ctx' belongs to one message, and the provider to the whole worker" in refused(d)
    assert "the parameter 'client' depends on client, which lives for one message only" in refused(e)
    assert "in a circle: first needs second needs first" in refused(f)


def test_a_provider_is_a_function() -> None:
    with pytest.raises(PluginError, match=r"Depends\(int\) is not given a function"):
        Depends(int)
    with pytest.raises(PluginError, match="a scope is"):
        Depends(pool, scope="forever")  # type: ignore[arg-type]
