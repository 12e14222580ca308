"""Commands and queries as they are declared, and what is refused."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import pytest

from engine.errors import PluginError, UsageError
from engine.model.commands import command_handler, query_handler
from engine.model.event import Event, EventData
from engine.model.handler import HandlerSpec, assign_queues, handler
from engine.model.request import Command, Query, Request, adapter_of, refuse_request, reply_type
from engine.model.subjects import Role

T = TypeVar("T")


class View(EventData):
    id: str


class Gone(EventData, type="order.gone"):
    pass


class Get(Query[View], type="order.get", aggregate="order", key="id"):
    id: str


class GetAll(Query[list[View]], type="order.all"):
    pass


class Ship(Command[int], type="order.ship", rejections=[Gone]):
    id: str


class ShipFast(Ship, type="order.ship.fast"):
    pass


class Close(Command, type="shop.close"):
    pass


class Page(Query[T], Generic[T]):
    number: int


class Orders(Page[dict[str, View]], type="order.page"):
    pass


class Plain(EventData, type="plain"):
    pass


def spec_of(function: Any) -> HandlerSpec:
    found: HandlerSpec = function.__warren_handler__
    return found


@pytest.mark.parametrize(
    ("cls", "reply"),
    [
        (Get, View),
        (GetAll, list[View]),
        (Ship, int),
        (ShipFast, int),
        (Close, None),
        (Orders, dict[str, View]),
        (Plain, Any),
    ],
)
def test_the_brackets_say_what_the_reply_is(cls: type[EventData], reply: Any) -> None:
    assert reply_type(cls) == reply


def test_a_request_is_declared_like_an_event() -> None:
    assert (Get.__warren_type__, Get.__warren_aggregate__, Get.__warren_key__) == ("order.get", "order", "id")
    assert Ship.__warren_rejections__ == ShipFast.__warren_rejections__ == (Gone,)
    assert Get.__warren_rejections__ == ()
    assert Get(id="1") == Get.model_validate({"id": "1", "more": 2})


def test_classes_that_cannot_be() -> None:
    with pytest.raises(PluginError, match="rejections= has 'x', which is no event class"):

        class Bad(Command[int], type="bad", rejections=["x"]):  # type: ignore[list-item]
            pass

    with pytest.raises(PluginError, match="unknown keyword 'rejection'"):

        class Misspelt(Command[int], type="bad", rejection=[Gone]):  # type: ignore[call-arg]
            pass

    with pytest.raises(PluginError, match="is no type that can be read from JSON"):
        adapter_of(object(), "reply=")


def test_handlers_have_a_role() -> None:
    @command_handler(Ship, ShipFast, timeout=5, key="id")
    async def ship(command: Event[Ship | ShipFast]) -> int:
        return 1

    @query_handler(Get, "order.count", concurrency=3)
    async def get(query: Event[Any]) -> View:
        return View(id="1")

    assert (spec_of(ship).role, spec_of(ship).patterns) == (Role.COMMAND, ("order.ship", "order.ship.fast"))
    assert (spec_of(get).role, spec_of(get).patterns) == (Role.QUERY, ("order.get", "order.count"))
    assert spec_of(ship).queue_for("shop") == "shop.test_request.ship"
    assert spec_of(ship).line < spec_of(get).line
    assert spec_of(get).place.startswith("tests/model/test_request.py:")


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda: handler(Ship), r"@handler: Ship is a command\nWrite @command_handler\(Ship\)"),
        (lambda: handler(Get), "Get is a query"),
        (lambda: command_handler(Get), r"Get is a query\nWrite @query_handler"),
        (lambda: query_handler(Ship), "Ship is a command"),
        (lambda: query_handler(Plain), r"Plain is no query\nSay what it is answered by"),
        (lambda: command_handler("order.*"), "holds a wildcard"),
        (lambda: command_handler(), "@command_handler names no command"),
        (lambda: command_handler(lambda: None), "is written without its command"),  # type: ignore[arg-type]
        (lambda: command_handler(Command), "has no type, it is abstract"),
        (lambda: query_handler(Get, timeout=0), "timeout=0 is not a number"),
    ],
)
def test_what_a_handler_cannot_take(declare: Any, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        declare()


def test_two_handlers_cannot_take_one_command() -> None:
    @command_handler(Ship)
    async def one(command: Ship) -> int:
        return 1

    @command_handler("order.ship", queue="other")
    async def two(command: Event[dict[str, Any]]) -> int:
        return 2

    @handler("order.ship")
    async def three(event: Event[dict[str, Any]]) -> None: ...

    assert len(assign_queues("shop", [spec_of(one), spec_of(three)])) == 2  # an event of that name is another thing
    with pytest.raises(PluginError, match=r"Two handlers take the command order\.ship: one at .* and two at"):
        assign_queues("shop", [spec_of(one), spec_of(two)])


def test_requests_are_not_events() -> None:
    refuse_request(Plain(), "published", "engine.send")
    with pytest.raises(UsageError, match=r"Ship is a command, which is not published.*\nUse engine\.send"):
        refuse_request(Ship(id="1"), "published", "engine.send")
    with pytest.raises(UsageError, match=r"Get is a query.*\nUse engine\.request"):
        refuse_request(Get(id="1"), "published", "engine.send")
    assert issubclass(Ship, Request)
