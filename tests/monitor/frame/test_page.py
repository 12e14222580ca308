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
