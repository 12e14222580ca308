"""A read model of the order flow: one row an order, made from the log of events and from nothing else.

Workers keep it up to date; `warren projections rebuild order_overview` makes it anew. It shows orders from the
placing on where the setting `journal` has `order.placed`, else from the reservation on.
"""

from __future__ import annotations

from sqlmodel import Field, SQLModel

from engine import AsyncSession, Event, projection
from handlers.events import InventoryReserved, OrderConfirmed, OrderPlaced, PaymentCaptured

#: What an order has come to by each event, the furthest last.
STATES = {
    OrderPlaced: "placed",
    InventoryReserved: "reserved",
    PaymentCaptured: "paid",
    OrderConfirmed: "confirmed",
}
_FURTHER = ("", *STATES.values())


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
    """Follow an order from one state to the next.

    An order never goes back: what others publish, the placing, is journalled by itself, and may be in the log
    after what our handlers made of it.
    """
    data = event.data
    row = await session.get(OrderOverview, data.order_id)
    if row is None:
        row = OrderOverview(order_id=data.order_id, customer=data.customer, state="")
    match data:
        case OrderPlaced() | InventoryReserved():
            row.total = str(data.total)
        case PaymentCaptured():
            row.payment_id = data.payment_id
        case OrderConfirmed():
            pass
    row.state = max(row.state, STATES[type(data)], key=_FURTHER.index)
    session.add(row)
