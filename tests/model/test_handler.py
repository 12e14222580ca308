"""The decorator: what it keeps, what it refuses, and the names of queues."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import PluginError
from engine.model.event import EventData
from engine.model.handler import (
    HandlerSpec,
    assign_queues,
    default_prefetch,
    handler,
    queue_name,
)
from engine.model.retry import RetryPolicy
from engine.model.subjects import check_models


class OrderPlaced(EventData, type="order.placed"):
    order_id: str


class OrderPaid(EventData, type="order.paid"):
    order_id: str


class OrderEvent(EventData):
    order_id: str


def spec_of(function: Any) -> HandlerSpec:
    spec: HandlerSpec = function.__warren_handler__
    return spec


def test_the_function_is_returned_unchanged_and_its_declaration_kept() -> None:
    async def reserve(event: Any) -> None: ...

    policy = RetryPolicy(max_attempts=2)
    declare = handler(
        OrderPlaced,
        "audit.#",
        OrderPlaced,
        queue="q",
        exchange="x",
        retry=policy,
        timeout=5,
        concurrency=2,
        prefetch=7,
        key="order_id",
        idempotency_key=lambda event: event.data.order_id,
        emits=[OrderPaid],
    )
    assert declare(reserve) is reserve
    spec = spec_of(reserve)
    assert spec.function is reserve
    assert (spec.name, spec.module_stem, spec.is_async) == ("reserve", "test_handler", True)
    assert spec.patterns == ("order.placed", "audit.#")
    assert spec.models == (OrderPlaced,)
    assert (spec.queue, spec.exchange, spec.exchange_named) == ("q", "x", True)
    assert (spec.retry, spec.timeout, spec.concurrency, spec.prefetch) == (policy, 5.0, 2, 7)
    assert spec.emits == (OrderPaid,)
    assert spec.place.endswith("test_handler.py:" + spec.place.rpartition(":")[2])
    assert spec.queue_for("shop") == "q"


def test_the_queue_is_named_for_application_file_and_function() -> None:
    @handler(OrderPlaced)
    def reserve(event: Any) -> None: ...

    spec = spec_of(reserve)
    assert spec.queue_for("shop") == queue_name("shop", "test_handler", "reserve") == "shop.test_handler.reserve"
    assert not spec.is_async
    assert (spec.exchange, spec.exchange_named) == ("events", False)


def module(name: str, file: str | None, source: str) -> types.ModuleType:
    made = types.ModuleType(name)
    if file is not None:
        made.__file__ = file
    exec(compile(source, file or "<stdin>", "exec"), made.__dict__)
    return made


SOURCE = """
from engine.model.handler import handler
@handler("a")
async def react(event): ...
"""


@pytest.mark.parametrize(
    ("name", "file", "stem"),
    [
        ("anything", "/x/shop/orders.py", "orders"),
        ("__main__", "/x/shop/orders.py", "orders"),
        ("shop.handlers", "/x/shop/handlers/__init__.py", "handlers"),
        ("__main__", None, "__main__"),
        ("pkg.notebook", None, "notebook"),
    ],
)
def test_the_stem_is_that_of_the_file_however_it_was_loaded(name: str, file: str | None, stem: str) -> None:
    assert spec_of(module(name, file, SOURCE).react).module_stem == stem


def test_a_decorated_function_belongs_to_the_file_that_declares_it() -> None:
    # Its wrapper's code, and without functools.wraps its name too, are from elsewhere.
    wrapped = module(
        "decorators", "/x/decorators.py", "def traced(f):\n  async def inner(event): ...\n  return inner\n"
    )
    made = types.ModuleType("orders")
    made.__dict__.update(__file__="/x/orders.py", traced=wrapped.traced)
    source = SOURCE.replace("async def", "@traced\nasync def")
    exec(compile(source, "/x/orders.py", "exec"), made.__dict__)
    assert spec_of(made.react).module_stem == "orders"
    assert made.__warren_handlers__ == [spec_of(made.react)]


def test_every_declaration_of_a_module_is_kept_also_of_a_name_used_twice() -> None:
    made = module("orders", "/x/orders.py", SOURCE + SOURCE.replace('"a"', '"b"'))
    first, second = made.__warren_handlers__
    assert (first.patterns, second.patterns) == (("a",), ("b",))
    with pytest.raises(PluginError) as caught:
        assign_queues("shop", [first, second])
    assert "shop.orders.react" in caught.value.message
    assert "/x/orders.py:3" in caught.value.message
    assert "/x/orders.py:7" in caught.value.message


def test_queues_are_assigned_and_clashes_with_named_ones_are_found() -> None:
    one = spec_of(module("orders", "/x/orders.py", SOURCE).react)
    other = spec_of(module("bills", "/x/bills.py", SOURCE).react)
    assert assign_queues("shop", [one, other]) == {"shop.orders.react": one, "shop.bills.react": other}
    named = spec_of(module("c", "/x/c.py", SOURCE.replace('"a"', '"a", queue="shop.orders.react"')).react)
    with pytest.raises(PluginError, match="Two handlers claim the queue shop.orders.react"):
        assign_queues("shop", [one, named])
    assert len(assign_queues("other", [one, named])) == 2


def test_a_queue_name_that_is_too_long_is_refused_with_its_handler() -> None:
    spec = spec_of(module("orders", f"/x/{'o' * 250}.py", SOURCE).react)
    with pytest.raises(PluginError, match=r"react.*bytes"):
        assign_queues("shop", [spec])


def subject_free(*subjects: Any) -> Callable[[], Any]:
    return lambda: handler(*subjects)


async def asynchronous(event: Any) -> str:
    return ""


def option(**options: Any) -> Callable[[], Any]:
    return lambda: handler(OrderPlaced, **options)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (subject_free(), "names no event"),
        (subject_free(lambda event: None), "without its event"),
        (subject_free(int), "int is neither an event class nor a topic pattern"),
        (subject_free(5), "int is neither"),
        (subject_free(OrderEvent), "OrderEvent has no type, it is abstract"),
        (subject_free(EventData), "EventData has no type"),
        (subject_free(""), "empty"),
        (subject_free("order..placed"), "empty word"),
        (subject_free("order*"), "no wildcard"),
        (option(queue=""), "empty"),
        (option(queue="amq.x"), "amq."),
        (option(queue=5), "queue=5"),
        (option(exchange=""), "empty"),
        (option(timeout=0), "timeout=0 is not a number of seconds above 0"),
        (option(timeout=-1.5), "timeout=-1.5"),
        (option(timeout=float("nan")), "timeout=nan"),
        (option(timeout=float("inf")), "timeout=inf"),
        (option(timeout="5"), "timeout='5'"),
        (option(timeout=True), "timeout=True"),
        (option(concurrency=0), "concurrency=0 is not a whole number from 1 to 65535"),
        (option(concurrency=2.0), "concurrency=2.0"),
        (option(prefetch=70_000), "prefetch=70000"),
        (option(prefetch=True), "prefetch=True"),
        (option(key="order id"), "key='order id' is neither the name of a payload field nor a function"),
        (option(idempotency_key=7), "idempotency_key=7"),
        (option(retry=3), "retry= is int\nWrite retry=RetryPolicy"),
        (option(key=asynchronous), "key= is an async function"),
        (option(batch=0), "batch=0 is not a whole number from 1 to 10000"),
        (option(batch=True), "batch=True"),
        (option(batch_wait=-1), "batch_wait=-1 is not a number of seconds from 0 to 60"),
        (option(batch_wait=True), "batch_wait=True"),
        (option(batch=100, prefetch=99), "a batch of 100 never fills with prefetch=99"),
        (option(emits=OrderPaid), "emits= takes a list"),
        (option(emits=[OrderEvent]), "OrderEvent has no type"),
        (option(emits=["order.paid"]), "str is neither"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_declared(declare: Callable[[], Any], message: str) -> None:
    with pytest.raises(PluginError) as caught:
        declare()
    assert message in str(caught.value)
    assert "test_handler.py:" in caught.value.message


def test_only_functions_that_return_are_handlers() -> None:
    async def emitting(event: Any) -> Any:
        yield event

    def generating(event: Any) -> Any:
        yield event

    for wrong, message in [
        (emitting, "emitting yields"),
        (generating, "generating yields"),
        (functools.partial(print), "stands on partial"),
        (OrderPaid, "stands on ModelMetaclass"),
    ]:
        with pytest.raises(PluginError, match=message):
            handler(OrderPlaced)(wrong)


def test_one_type_and_version_has_one_class() -> None:
    class Again(EventData, type="order.placed"): ...

    class Second(EventData, type="order.placed", version=2): ...

    check_models([OrderPlaced, Second, OrderPlaced])
    with pytest.raises(PluginError, match=r"OrderPlaced \(.*test_handler.py\) and .*Again .* order.placed version 1"):
        check_models([OrderPlaced, Again])
    with pytest.raises(PluginError, match="both declare order.placed version 1"):
        handler(OrderPlaced, Again)


@pytest.mark.parametrize(
    ("concurrency", "timeout", "prefetch"),
    [(16, 60.0, 240), (16, 1.0, 256), (16, 900.0, 16), (16, 7200.0, 16), (1, 600.0, 2), (65535, 1.0, 65535)],
)
def test_a_prefetched_message_does_not_wait_for_a_lane_past_the_brokers_patience(
    concurrency: int, timeout: float, prefetch: int
) -> None:
    assert default_prefetch(concurrency, timeout) == prefetch


def test_a_shown_place_is_relative_to_where_one_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    spec = spec_of(module("orders", str(tmp_path / "handlers" / "orders.py"), SOURCE).react)
    assert spec.place == "handlers/orders.py:3"
    assert sys.modules.get("orders") is None
