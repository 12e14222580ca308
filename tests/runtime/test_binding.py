"""Parameters are bound by their annotations, once, at start."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, cast

import pytest
import sqlalchemy.ext.asyncio
import sqlmodel.ext.asyncio.session

from engine import AsyncSession
from engine.errors import PluginError
from engine.model.codec import RAW, payloads
from engine.model.event import Event, EventData, new_event
from engine.model.handler import HandlerSpec, handler
from engine.runtime.binding import Invoke, bind
from engine.runtime.context import Context

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForChecking

NOW = datetime(2026, 11, 23, 19, tzinfo=UTC)


class OrderEvent(EventData):
    order_id: str


class OrderPlaced(OrderEvent, type="order.placed"): ...


class OrderPaid(OrderEvent, type="order.paid"): ...


class OrderPlaced2(OrderEvent, type="order.placed", version=2): ...


EVENT: Event[Any] = new_event(OrderPlaced(order_id="o-1"), id="e-1", now=NOW)
CONTEXT = Context(EVENT)
SESSION = cast("AsyncSession", object())


def bound(function: Any, *subjects: Any, **options: Any) -> Invoke:
    return bind(spec(function, *subjects, **options))


def spec(function: Any, *subjects: Any, **options: Any) -> HandlerSpec:
    handler(*(subjects or (OrderPlaced,)), **options)(function)
    found: HandlerSpec = function.__warren_handler__
    return found


def refused(function: Any, *subjects: Any, **options: Any) -> str:
    with pytest.raises(PluginError) as caught:
        bound(function, *subjects, **options)
    assert "test_binding.py:" in caught.value.message
    return str(caught.value)


async def given(function: Any, *subjects: Any) -> Any:
    return await bound(function, *subjects)(EVENT, CONTEXT, SESSION)


async def test_any_subset_in_any_order_is_filled() -> None:
    async def only(event: Event[OrderPlaced]) -> Any:
        return event

    async def usual(event: Event[OrderPlaced], ctx: Context) -> Any:
        return event, ctx

    async def turned(session: AsyncSession, ctx: Context, whatever: Event[OrderPlaced]) -> Any:
        return session, ctx, whatever

    async def payload(order: OrderPlaced, *, ctx: Context) -> Any:
        return order, ctx

    async def nothing() -> Any:
        return "nothing"

    async def defaults(
        flag: bool = True, event: Event[OrderPlaced] = cast("Any", None), *rest: int, **more: int
    ) -> Any:
        return flag, event

    async def twice(event: Event[OrderPlaced], order: OrderPlaced) -> Any:
        return event, order

    async def annotated(event: Annotated[Event[OrderPlaced], "x"], ctx: Annotated[Context, "y"]) -> Any:
        return event, ctx

    assert await given(only) is EVENT
    assert await given(usual) == (EVENT, CONTEXT)
    assert await given(turned) == (SESSION, CONTEXT, EVENT)
    assert await given(payload) == (EVENT.data, CONTEXT)
    assert await given(nothing) == "nothing"
    assert await given(defaults) == (True, EVENT)
    assert await given(twice) == (EVENT, EVENT.data)
    assert await given(annotated) == (EVENT, CONTEXT)


def test_a_session_is_known_by_any_of_its_names() -> None:
    async def ours(session: AsyncSession) -> None: ...
    async def theirs(session: sqlmodel.ext.asyncio.session.AsyncSession) -> None: ...
    async def base(session: sqlalchemy.ext.asyncio.AsyncSession) -> None: ...
    async def without(event: Event[OrderPlaced]) -> None: ...
    def plain(session: AsyncSession) -> None: ...

    assert [bound(function).wants_session for function in (ours, theirs, base, without)] == [True, True, True, False]
    assert "plain asks for a session, which only an async def handler can use" in refused(plain)


async def test_a_plain_function_runs_in_a_thread_with_the_callers_context_variables() -> None:
    variable = contextvars.ContextVar("variable", default="outside")

    def plain(event: Event[OrderPlaced]) -> Any:
        return event, variable.get(), threading.current_thread()

    variable.set("inside")
    invoke = bound(plain)
    event, value, thread = await invoke(EVENT, CONTEXT)
    assert (event, value, invoke.is_async) == (EVENT, "inside", False)
    assert thread is not threading.main_thread()


async def test_an_async_function_behind_a_plain_decorator_is_awaited() -> None:
    def traced(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*args: Any) -> Any:
            return function(*args)

        return inner

    @traced
    async def handle(event: Event[OrderPlaced]) -> Any:
        await asyncio.sleep(0)
        return event

    assert await given(handle) is EVENT


def test_the_annotation_tells_the_models() -> None:
    async def one(event: Event[OrderPlaced]) -> None: ...
    async def both(event: Event[OrderPlaced | OrderPaid]) -> None: ...
    async def outer(event: Event[OrderPlaced] | Event[OrderPaid]) -> None: ...
    async def base(event: Event[OrderEvent]) -> None: ...
    async def data(order: OrderPlaced | OrderPaid) -> None: ...
    async def versions(event: Event[OrderPlaced | OrderPlaced2]) -> None: ...

    two = payloads([OrderPlaced, OrderPaid])
    assert bound(one).payloads == payloads([OrderPlaced])
    assert bound(one, "order.placed").payloads == payloads([OrderPlaced])
    for function in (both, outer, base, data):
        assert bound(function, OrderPlaced, OrderPaid).payloads == two
    assert bound(both, "order.paid", OrderPlaced).payloads == two
    assert bound(versions, OrderPlaced).payloads.models == {"order.placed": (OrderPlaced, OrderPlaced2)}


def test_without_a_model_in_the_annotation_the_subjects_tell() -> None:
    async def anything(event: Event[Any]) -> None: ...
    async def nothing(ctx: Context) -> None: ...

    for function in (anything, nothing):
        assert bound(function).payloads == payloads([OrderPlaced])
        assert bound(function, OrderPlaced, "audit.*").payloads == payloads([OrderPlaced], open=True)
        assert bound(function, "audit.*").payloads == RAW


def test_a_dict_wants_no_model() -> None:
    async def raw(event: Event[dict[str, Any]]) -> None: ...
    async def mapping(event: Event[Mapping[str, Any]]) -> None: ...
    async def mixed(event: Event[OrderPlaced | dict[str, Any]]) -> None: ...

    assert bound(raw).payloads == RAW
    assert bound(raw, "order.*").payloads == RAW
    assert bound(mapping, "order.*").payloads == RAW
    assert bound(mixed, "order.*").payloads == payloads([OrderPlaced], open=True)


def test_a_subject_wider_than_its_model_is_refused() -> None:
    async def narrow(event: Event[OrderPlaced]) -> None: ...
    async def base(event: Event[OrderEvent]) -> None: ...
    async def other(event: Event[OrderPaid]) -> None: ...
    async def newer(event: Event[OrderPlaced2]) -> None: ...
    async def number(event: Event[int]) -> None: ...

    assert "its pattern 'order.*' is wider than its model OrderPlaced" in refused(narrow, "order.*")
    assert "its pattern '#' is wider than" in refused(narrow, OrderPlaced, "#")
    assert "its pattern 'order.paid' is not of its model OrderPlaced" in refused(narrow, "order.paid")
    assert "its pattern 'order.placed' is not of its model OrderPaid" in refused(other)
    assert "OrderEvent has no event type, and no subject derives from it" in refused(base, "order.*")
    assert "subscribes to OrderPlaced but takes OrderPlaced2" in refused(newer)
    assert "Event[int] is not the event of an event class" in refused(number)


def test_what_cannot_be_filled_is_refused_by_name() -> None:
    async def unknown(event: Event[OrderPlaced], client: dict[str, int]) -> None: ...
    async def naked(event) -> None: ...  # type: ignore[no-untyped-def]
    async def two(event: Event[OrderPlaced], other: OrderPaid) -> None: ...
    async def broken(event: Event[OrderPlaced, OrderPaid]) -> None: ...  # type: ignore[type-arg]

    assert "unknown: the parameter 'client' is annotated dict[str, int], which nothing can fill" in refused(unknown)
    assert "naked: the parameter 'event' has no annotation" in refused(naked)
    assert "two: the parameter 'other' asks for another payload" in refused(two)
    assert "broken: the parameter 'event' is annotated Event[OrderPlaced, OrderPaid], which cannot be read" in refused(
        broken
    )


def test_a_name_known_only_to_the_type_checker_is_explained() -> None:
    async def trapped(ctx: Context, price: OnlyForChecking) -> None: ...

    message = refused(trapped)
    assert "trapped: the parameter 'price' is annotated OnlyForChecking" in message
    assert "Import OnlyForChecking outside `if TYPE_CHECKING:`" in message


async def test_a_return_annotation_is_never_read() -> None:
    async def fine(event: Event[OrderPlaced]) -> OnlyForChecking:
        return cast("Any", event)

    assert await given(fine) is EVENT


async def test_event_classes_of_a_function_are_known_to_its_handlers() -> None:
    class Local(EventData, type="local.seen"):
        name: str

    @handler(Local)
    async def inner(event: Event[Local]) -> Any:
        return event

    found: HandlerSpec = inner.__warren_handler__  # type: ignore[attr-defined]
    assert bind(found).payloads == payloads([Local])


def test_keys_name_fields_of_every_model() -> None:
    async def handle(event: Event[OrderPlaced]) -> None: ...

    assert bound(handle, key="order_id", idempotency_key="order_id").spec.key == "order_id"
    assert "key='oder_id' is not a field of OrderPlaced" in refused(handle, key="oder_id")
    assert "idempotency_key='x' is not a field of OrderPlaced" in refused(handle, idempotency_key="x")


async def test_a_batch_handler_takes_a_list_of_events() -> None:
    async def many(events: list[Event[OrderPlaced]], ctx: Context) -> Any:
        return events, ctx

    async def sequence(events: Sequence[Event[OrderPlaced | OrderPaid]]) -> Any:
        return events

    invoke = bound(many, batch=5, batch_wait=0.5)
    assert invoke.is_batch
    assert invoke.payloads == payloads([OrderPlaced])
    assert await invoke([EVENT, EVENT], CONTEXT) == ([EVENT, EVENT], CONTEXT)
    assert bound(sequence, OrderPlaced, OrderPaid).is_batch

    async def one(event: Event[OrderPlaced]) -> None: ...
    async def both(events: list[Event[OrderPlaced]], event: Event[OrderPlaced]) -> None: ...
    async def numbers(events: list[int]) -> None: ...

    assert not bound(one).is_batch
    assert "one has batch= or batch_wait=, but takes no batch" in refused(one, batch=5)
    assert "one has batch= or batch_wait=" in refused(one, batch_wait=1)
    assert "many takes a batch, in which key= has no meaning" in refused(many, key="order_id")
    assert "the parameter 'event' asks for one event beside a batch" in refused(both)
    assert "the parameter 'events' is annotated list[int], which nothing can fill" in refused(numbers)
