"""`warren publish` of what is no event: said, with what sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Warren

PLUGIN = """\
from engine import Command, Query, command_handler, query_handler


class ShipOrder(Command, type="order.ship"):
    order_id: str


class GetOrder(Query[int], type="order.get"):
    order_id: str


@command_handler(ShipOrder)
async def ship(command: ShipOrder) -> None: ...


@query_handler(GetOrder)
async def get(query: GetOrder) -> int:
    return 1
"""


def test_a_command_is_not_published(warren: Warren) -> None:
    warren.write("handlers/orders.py", PLUGIN)
    for kind, call in (
        ("order.ship", "It is a command: a program sends it with engine.send"),
        ("order.get", "It is a query: a program sends it with engine.request"),
    ):
        done = warren("publish", kind, '{"order_id": "o-1"}', "--json")
        assert done.json["unrouted"] == 1
        assert done.json["hint"].startswith(call)


def test_their_queues_are_declared(warren: Warren) -> None:
    warren.write("handlers/orders.py", PLUGIN)
    assert warren("topology", "apply", "--yes").code == 0
    assert warren("topology", "diff").code == 0
    queues = {queue["name"] for queue in warren("topology", "show", "--json", "--all").json["queues"]}
    assert {"shop.orders.ship", "shop.orders.ship.dlq", "shop.orders.get"} <= queues
    assert "shop.orders.get.dlq" not in queues  # nothing of a query is kept
