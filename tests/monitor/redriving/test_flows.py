"""Operations as they run: paused, gone on with, cancelled; a large set asks for its count."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.redriving import screen as operations
from monitor.redriving.describing import operation_lines
from tests.support.seat import Seat, seated

Shop = Any


def orders(number: int) -> list[dict[str, Any]]:
    return [{"order_id": f"o-{each}", "total": 10.0} for each in range(number)]


async def begin_slowly(seat: Seat, number: int) -> None:
    """Redrive all of them, one a second."""
    await seat.press("3")
    await seat.see(f"{number} failures")
    await seat.press("r")
    await seat.see(f"Redrive {number} messages")
    seat.monitor.screen.query_one("#rate").value = "1"
    await seat.press("enter")
    await seat.see("▶ ", "at most 1/s")


async def test_a_redrive_is_paused_gone_on_with_and_cancelled_while_it_runs(shop: Shop) -> None:
    await shop.place(*orders(40))
    await shop.failed(40)
    shop.come_up()
    async with seated(shop.settings) as seat:
        await begin_slowly(seat, 40)
        await seat.until(lambda: "✓ succeeded" in seat.screen, "the first outcome")
        await seat.press("P")
        await seat.hear("Paused rd-")
        await seat.see("‖ paused")
        await seat.press("P")
        await seat.hear("goes on.")
        await seat.see("▶ ")
        await seat.press("5")
        await seat.see("1 of 1 operations", "▶ ")
        await seat.press("C")
        await seat.see("Cancel redrive rd-", "will not be sent")
        await seat.press("tab", "enter")
        await seat.hear("Cancelled rd-")
        await seat.see("✗ cancelled")
        await seat.press("C")
        await seat.hear("there is nothing to cancel")
        await seat.press("7")
        await seat.see("redrive cancel", "redrive pause", "redrive resume")


async def test_what_is_beside_the_operations_fits_its_place_and_asks_for_it_only_when_it_changes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.place(*orders(2))
    await shop.failed(2)
    shop.come_up()
    drawn: list[int] = []

    def counted(*arguments: Any) -> Any:
        drawn.append(arguments[2])
        return operation_lines(*arguments)

    monkeypatch.setattr(operations, "operation_lines", counted)
    async with seated(shop.settings, size=(100, 40)) as seat:
        await begin_slowly(seat, 2)
        await seat.see("✓ done")
        await seat.press("5")
        await seat.see("1 of 1 operations")
        assert not drawn  # there is no place beside it
        await seat.pilot.resize_terminal(200, 40)
        await seat.see("2 of 2 sent")
        await seat.press("3", "5")
        await seat.see("2 of 2 sent")
        assert set(drawn) == {drawn[-1]}
        assert drawn[-1] > 40
        assert len(drawn) < 20


async def test_messages_of_an_operation_are_filtered_by_their_state(shop: Shop) -> None:
    await shop.place(*orders(3))
    await shop.failed(3)
    shop.come_up()
    async with seated(shop.settings) as seat:
        await seat.press("3")
        await seat.see("3 failures")
        await seat.press("r")
        await seat.see("Redrive 3 messages")
        await seat.press("enter")
        await seat.see("✓ done", "3 succeeded")
        await seat.press("slash")
        await seat.type("fail")
        await seat.press("enter")
        await seat.see("0 of 0 messages")
        await seat.press("escape")
        await seat.see("1 of 3 messages")
        await seat.press("slash")
        await seat.type("gone")
        await seat.see("no message is in the state 'gone'")


async def test_a_large_set_asks_for_its_count(shop: Shop) -> None:
    await shop.place(*orders(100))
    await shop.failed(100)
    shop.come_up()
    async with seated(shop.settings) as seat:
        await seat.press("3")
        await seat.see("100 failures")
        await seat.press("r")
        await seat.see("Redrive 100 messages")
        await seat.press("enter")
        await seat.see("Type 100 to go on.")
        await seat.type("99")
        await seat.press("enter")
        await seat.see("Type 100 to go on.")
        await seat.press("backspace", "backspace")
        await seat.type("100")
        await seat.press("enter")
        await seat.see("✓ done", "100 of 100 sent", "100 succeeded")
