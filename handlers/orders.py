"""The order flow: four handlers that know only events, never each other.

    order.placed ─▶ reserve_inventory ─▶ inventory.reserved ─▶ capture_payment
        ─▶ payment.captured ─▶ confirm_order ─▶ order.confirmed ─▶ send_confirmation

Each writes its row through `session`: the row, the idempotency record and the emitted event
commit together or not at all. However often a message comes, each order is booked once.
"""

from __future__ import annotations

import time

from sqlalchemy import text

from engine import AsyncSession, Context, Event, RetryPolicy, handler
from handlers.events import InventoryReserved, OrderConfirmed, OrderPlaced, PaymentCaptured
from handlers.gateway import PaymentGateway

gateway = PaymentGateway()

#: Short delays, since the payment provider recovers fast when it recovers at all.
PATIENT = RetryPolicy(max_attempts=3, initial=0.5, maximum=2.0)


async def book(session: AsyncSession, order_id: str, step: str, reference: str) -> None:
    """Write one line into the shop's ledger."""
    await session.execute(
        text("CREATE TABLE IF NOT EXISTS shop_ledger (order_id TEXT, step TEXT, reference TEXT, at DOUBLE PRECISION)")
    )
    await session.execute(
        text("INSERT INTO shop_ledger (order_id, step, reference, at) VALUES (:order_id, :step, :reference, :at)"),
        {"order_id": order_id, "step": step, "reference": reference, "at": time.time()},
    )


@handler(OrderPlaced, emits=[InventoryReserved])
async def reserve_inventory(event: Event[OrderPlaced], ctx: Context, session: AsyncSession) -> None:
    """Set the goods aside."""
    order = event.data
    await book(session, order.order_id, "reserved", f"{order.quantity} × {order.sku}")
    ctx.emit(InventoryReserved(order_id=order.order_id, customer=order.customer, total=order.total))


@handler(InventoryReserved, emits=[PaymentCaptured], retry=PATIENT)
async def capture_payment(event: Event[InventoryReserved], ctx: Context, session: AsyncSession) -> None:
    """Charge the customer. The provider is slow, now and then flaky, and sometimes down."""
    order = event.data
    # The call comes before the first statement: no transaction is held while the network is slow.
    payment_id = await gateway.charge(order.order_id, order.total, attempt=ctx.attempt)
    await book(session, order.order_id, "paid", payment_id)
    ctx.emit(PaymentCaptured(order_id=order.order_id, customer=order.customer, payment_id=payment_id))


@handler(PaymentCaptured, emits=[OrderConfirmed])
async def confirm_order(event: Event[PaymentCaptured], ctx: Context, session: AsyncSession) -> None:
    """Close the order."""
    order = event.data
    await book(session, order.order_id, "confirmed", order.payment_id)
    ctx.emit(OrderConfirmed(order_id=order.order_id, customer=order.customer))


@handler(OrderConfirmed)
def send_confirmation(event: Event[OrderConfirmed], ctx: Context) -> None:
    """Tell the customer. A plain function: it runs in a thread, where a mail library may block."""
    ctx.log.debug("mail to %s: your order %s is confirmed", event.data.customer, event.data.order_id)
