"""Hands on a table of real failures: keys, ranges, marks and the mouse, and what a refresh leaves alone."""

from __future__ import annotations

from typing import Any

from monitor.table.table import Table
from tests.support.seat import Seat, seated

Shop = Any


def orders(number: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"order_id": f"o-{start + each}", "total": 10.0} for each in range(number)]


async def at_failures(seat: Seat, number: int) -> Table[Any]:
    """The messages of the only cause."""
    await seat.press("3")
    await seat.see(f"{number} failures", "1 of 1 causes")
    await seat.press("enter")
    await seat.see(f"1 of {number} failures")
    return seat.monitor.screen.query_one("#failures", Table)


async def test_moving_marking_ranges_and_all(shop: Shop) -> None:
    await shop.place(*orders(40))
    await shop.failed(40)
    async with seated(shop.settings, size=(80, 24)) as seat:
        await at_failures(seat, 40)
        for keys, place in (
            (("j", "j"), 3),
            (("k",), 2),
            (("G",), 40),
            (("g",), 1),
            (("ctrl+d",), 10),
            (("ctrl+u",), 1),
        ):
            await seat.press(*keys)
            await seat.see(f"{place} of 40 failures")
        await seat.press("V", "j", "j")
        await seat.see("marking a range")
        await seat.press("escape")
        await seat.miss("marking a range")
        await seat.press("V", "k", "k", "V")
        await seat.see("3 marked")
        await seat.press("G", "space")
        await seat.see("4 marked")
        await seat.press("*")
        await seat.see("40 marked")
        await seat.press("*")
        await seat.miss("marked")


async def test_cursor_marks_filter_order_and_scroll_outlive_refreshes(shop: Shop) -> None:
    await shop.place(*orders(40))
    await shop.failed(40)
    async with seated(shop.settings, size=(80, 24)) as seat:
        table = await at_failures(seat, 40)
        await seat.press("slash")
        await seat.type("handler:charge")
        await seat.press("enter")
        await seat.see("1 of 40 failures", "/handler:charge")
        await seat.press("G", "k", "space", "k")
        await seat.see("39 of 40 failures", "1 marked")
        under, marked = table.view.key, table.view.marks.keys
        shown = [row.id for row in table.view.window.rows]
        await shop.place(*orders(5, start=50))
        await shop.failed(45)
        await seat.see("44 of 45 failures", "1 marked", "/handler:charge")
        assert (table.view.key, table.view.marks.keys) == (under, marked)
        assert table.view.cursor is not None
        assert table.view.cursor.index - table.view.top < table.view.height
        assert set(shown[-10:]) <= {row.id for row in table.view.window.rows}
        await seat.press("S")
        await seat.until(lambda: table.view.cursor is not None and table.view.cursor.index == 1, "the oldest first")
        assert (table.view.key, table.view.marks.keys) == (under, marked)


async def test_the_mouse_moves_marks_opens_sorts_and_changes_the_screen(shop: Shop) -> None:
    await shop.place(*orders(5))
    await shop.failed(5)
    async with seated(shop.settings, size=(80, 24)) as seat:
        await at_failures(seat, 5)
        await seat.pilot.click("#failures", offset=(20, 3))
        await seat.see("3 of 5 failures")
        await seat.pilot.click("#failures", offset=(1, 2))
        await seat.see("2 of 5 failures", "1 marked")
        await seat.pilot.click("#failures", offset=(6, 0))
        await seat.see("▼AGE")
        await seat.pilot.click("#failures", offset=(20, 3), times=2)
        await seat.see("attempts exhausted")
        await seat.pilot.click("Header", offset=(15, 0))
        await seat.see("1 of 1 queues")
        await seat.pilot.click("Hints", offset=(seat.screen.split("\n")[-1].index("? Help"), 0))
        await seat.see("Pause or resume the queue…", "In a table")


async def test_n_goes_from_match_to_match_after_the_filter_is_gone(shop: Shop) -> None:
    await shop.place(*orders(3), {"order_id": "x", "total": 2000.0}, *orders(3, start=9))
    await shop.failed(7)
    async with seated(shop.settings, size=(80, 24)) as seat:
        await seat.press("3", "slash")
        await seat.type("exception:ValueError")
        await seat.press("enter")
        await seat.see("1 of 1 causes")
        await seat.press("escape")
        await seat.see("of 2 causes")
        await seat.press("g", "n")
        await seat.until(lambda: "ValueError" in seat.line("▌"), "the cursor on what matches")


async def test_held_the_rows_stand_still_until_one_goes_on_or_asks(shop: Shop) -> None:
    await shop.place(*orders(2))
    await shop.failed(2)
    async with seated(shop.settings) as seat:
        await seat.press("3")
        await seat.see("2 failures")
        await seat.press("p")
        await seat.see("held, p goes on")
        await shop.place(*orders(1, start=5))
        await shop.failed(3)
        assert "2 failures" in seat.screen
        await seat.press("R")
        await seat.see("3 failures", "held, p goes on")
        await seat.press("p")
        await seat.miss("held")
