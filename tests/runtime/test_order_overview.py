"""The example read model, fed by the example handlers."""

from __future__ import annotations

from decimal import Decimal

from engine.testing.harness import Harness, load
from engine.testing.projecting import Projected
from handlers.events import InventoryReserved, OrderConfirmed, OrderPlaced, PaymentCaptured

overview = load("handlers/order_overview.py")


async def test_an_order_is_followed_through_its_states() -> None:
    async with Projected(overview) as projected:
        await projected.given(
            OrderPlaced(order_id="o-1", customer="ann", sku="s", quantity=1, total=Decimal("9.50")),
            InventoryReserved(order_id="o-2", customer="bob", total=Decimal("3.00")),
            InventoryReserved(order_id="o-1", customer="ann", total=Decimal("9.50")),
            PaymentCaptured(order_id="o-1", customer="ann", payment_id="p-1"),
        )
        first, second = await projected.rows(overview.OrderOverview)
        assert (first.state, first.total, first.payment_id) == ("paid", "9.50", "p-1")
        assert (second.state, second.customer) == ("reserved", "bob")
        await projected.given(OrderConfirmed(order_id="o-1", customer="ann"))
        assert (await projected.rows(overview.OrderOverview))[0].state == "confirmed"


async def test_a_placing_that_is_journalled_late_takes_no_order_back() -> None:
    async with Projected(overview) as projected:
        await projected.given(
            OrderConfirmed(order_id="o-1", customer="ann"),
            OrderPlaced(order_id="o-1", customer="ann", sku="s", quantity=1, total=Decimal("9.50")),
        )
        (row,) = await projected.rows(overview.OrderOverview)
        assert (row.state, row.total) == ("confirmed", "9.50")


async def test_the_harness_runs_it_with_the_handlers() -> None:
    async with Harness(load("handlers/orders.py"), overview, journal=["order.placed"]) as harness:
        orders = [f"o-{number}" for number in range(5)]
        for order in orders:
            await harness.publish(OrderPlaced(order_id=order, customer="ann", sku="s", quantity=1, total=Decimal(5)))
        await harness.finish()
        rows = dict(await harness.sql("SELECT order_id, state FROM shop_order_overview"))
        booked = {order for (order,) in await harness.sql("SELECT order_id FROM shop_ledger WHERE step = 'confirmed'")}
        assert set(rows) == set(orders)
        assert {order for order, state in rows.items() if state == "confirmed"} == booked != set()
