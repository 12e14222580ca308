"""Screen 4: from a failure to its trace, through the tree and back; and by any id."""

from __future__ import annotations

from typing import Any

from tests.support.seat import seated

Shop = Any
OSC = "\x1b]52;c;aGk=\x07"


def order(number: int, **more: Any) -> dict[str, Any]:
    return {"order_id": f"o-{number}", "total": 10.0, "card_token": "tok-secret", **more}


async def test_t_leads_from_a_failure_to_its_trace_and_escape_back(shop: Shop) -> None:
    await shop.place(order(1))
    await shop.failed(1)
    async with seated(shop.settings, size=(80, 24)) as seat:
        await seat.press("3", "enter")
        await seat.see("1 failure", "TimeoutError in charge")
        await seat.press("t")
        await seat.see("correlation c-1", "1 open failure", "charge", "✗ failure #1")
        assert "▌" in seat.line("failure #1"), seat.screen  # the cursor is where one came from
        await seat.press("enter")
        await seat.see("the payment provider did not answer", '"order_id": "o-1"')
        await seat.press("escape", "k")
        await seat.press("y")
        await seat.see("copied, where the terminal allows it")
        await seat.press("escape", "escape")
        await seat.see("TimeoutError in charge")


async def test_any_id_is_asked_for_and_followed(shop: Shop) -> None:
    await shop.place(order(1))
    await shop.failed(1)
    async with seated(shop.settings, size=(200, 60)) as seat:
        await seat.press("4")
        await seat.see("No correlations yet")
        await seat.press("/")
        await seat.see("A correlation id, an event id, or a failure")
        await seat.type("nobody")
        await seat.press("enter")
        await seat.see("nothing is known of 'nobody'")
        await seat.press(*["backspace"] * 6)
        await seat.type("#1")
        await seat.press("enter")
        await seat.see("correlation c-1", "◇ order.placed", "charge", "✗ failure #1", "the log does not have it")
        shop.come_up()
        await seat.press("G")
        await seat.see("enter shows the message")
        await seat.press("escape")
        await seat.see("No correlations yet")
