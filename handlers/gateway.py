"""A payment provider to practise with: slow, flaky, and down for some while its outage lasts."""

from __future__ import annotations

import asyncio
import os
import zlib
from decimal import Decimal
from pathlib import Path


class GatewayTimeout(Exception):
    """The provider did not answer in time; the next attempt may well succeed."""


class GatewayDown(Exception):
    """The provider refuses this customer's bank until somebody mends it."""


class PaymentGateway:
    """Charges orders. What it does to an order depends on the order alone, so that a story can be told twice.

    One order in seven needs a second attempt. While the file named by `SHOP_OUTAGE` exists,
    one in eight cannot be charged at all.
    """

    def __init__(self, outage: Path | None = None) -> None:
        named = os.environ.get("SHOP_OUTAGE")
        self._outage = outage or (Path(named) if named else None)

    async def charge(self, order_id: str, total: Decimal, *, attempt: int) -> str:
        """The id of the payment; raises `GatewayTimeout` or `GatewayDown`."""
        await asyncio.sleep(0.002)
        dice = zlib.crc32(order_id.encode())
        if dice % 8 == 0 and self._outage is not None and self._outage.exists():
            raise GatewayDown("the certificate of the bank's endpoint has expired")
        if dice % 7 == 0 and attempt == 1:
            raise GatewayTimeout("no answer within 2 s")
        return f"pay-{dice:08x}"
