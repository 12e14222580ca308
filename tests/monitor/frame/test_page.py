"""What every page lives through, whenever it comes."""

from __future__ import annotations

from typing import Any

from monitor.overview.screen import OverviewPage
from monitor.traces.tree import TracePage
from tests.support.seat import seated

Shop = Any


async def test_a_refresh_that_comes_before_a_page_has_its_widgets_ends_nothing(shop: Shop) -> None:
    async with seated(shop.settings) as seat:
        for page in (TracePage("c-1"), OverviewPage()):
            seat.monitor.push_screen(page)
            assert seat.monitor.page is page
            page.pulse()
            page.refresh_now()
            await seat.pilot.pause()
        await seat.see("in ", "out ", "dead letters")
        assert not any("unexpected" in note for note in seat.told)


async def test_the_number_of_the_screen_leads_back_to_its_list_but_never_loses_what_was_typed(shop: Shop) -> None:
    await shop.place({"order_id": "o-1", "total": 10.0})
    await shop.failed(1)
    async with seated(shop.settings, size=(80, 24)) as seat:
        await seat.press("3")
        await seat.see("1 of 1 causes")
        await seat.press("enter")
        await seat.see("1 of 1 failures")
        await seat.press("enter")
        await seat.see("attempts exhausted")
        await seat.press("2")
        await seat.see("1 of 1 queues")
        await seat.press("3")
        await seat.see("attempts exhausted")  # where one was
        await seat.press("3")
        await seat.see("1 of 1 causes")
        await seat.press("e")
        await seat.see("Edit #1", "nothing is changed")
        await seat.type("x")
        await seat.see("not JSON")
        await seat.press("ctrl+g", "3")
        await seat.pilot.pause()
        await seat.see("Edit #1", "Changes")


async def test_where_nothing_is_wrong_it_says_so(shop: Shop) -> None:
    async with seated(shop.settings) as seat:
        await seat.see("All is well: 1 queue, 1 worker, nothing has failed.")
