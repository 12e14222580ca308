"""A read model of the order flow: one row an order, made from the log of events and from nothing else.

Workers keep it up to date; `warren projections rebuild order_overview` makes it anew. It shows orders from the
placing on where the setting `journal` has `order.placed`, else from the reservation on.
"""

from __future__ import annotations

from sqlmodel import Field, SQLModel

from engine import AsyncSession, Event, projection
from handlers.events import InventoryReserved, OrderConfirmed, OrderPlaced, PaymentCaptured


class OrderOverview(SQLModel, table=True):
    """What the shop's customer service looks at."""

    __tablename__ = "shop_order_overview"

    order_id: str = Field(primary_key=True)
    customer: str = Field(index=True)
    state: str
    total: str = ""
    payment_id: str = ""


@projection(OrderPlaced, InventoryReserved, PaymentCaptured, OrderConfirmed, tables=[OrderOverview])
async def order_overview(
    event: Event[OrderPlaced | InventoryReserved | PaymentCaptured | OrderConfirmed], session: AsyncSession
) -> None:
    """Follow an order from one state to the next."""
    data = event.data
    row = await session.get(OrderOverview, data.order_id)
    if row is None:
        row = OrderOverview(order_id=data.order_id, customer=data.customer, state="")
    match data:
        case OrderPlaced():
            row.state, row.total = "placed", str(data.total)
        case InventoryReserved():
            row.state, row.total = "reserved", str(data.total)
        case PaymentCaptured():
            row.state, row.payment_id = "paid", data.payment_id
        case OrderConfirmed():
            row.state = "confirmed"
    session.add(row)
