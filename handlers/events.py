"""The events of the order flow."""

from __future__ import annotations

from decimal import Decimal

from engine import EventData


class OrderPlaced(EventData, type="order.placed", aggregate="order", key="order_id"):
    """A customer placed an order."""

    order_id: str
    customer: str
    sku: str
    quantity: int
    total: Decimal


class InventoryReserved(EventData, type="inventory.reserved", aggregate="order", key="order_id"):
    """The goods of an order are set aside."""

    order_id: str
    customer: str
    total: Decimal


class PaymentCaptured(EventData, type="payment.captured", aggregate="order", key="order_id"):
    """The money of an order has arrived."""

    order_id: str
    customer: str
    payment_id: str


class OrderConfirmed(EventData, type="order.confirmed", aggregate="order", key="order_id"):
    """All is settled: the order can be shipped."""

    order_id: str
    customer: str
