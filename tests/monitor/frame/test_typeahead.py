"""Keys that arrive all at once do what they would do one by one."""

from __future__ import annotations

from typing import Any

from textual.events import Key

from tests.support.seat import Seat, seated

Shop = Any


def burst(seat: Seat, text: str) -> None:
    """As a slow line delivers them: all before the first is answered."""
    names = {"/": "slash", ":": "colon", "\r": "enter", ".": "full_stop", "=": "equals_sign"}
    for letter in text:
        seat.monitor.post_message(Key(names.get(letter, letter), letter if letter.isprintable() else None))


async def test_what_follows_the_key_of_a_screen_and_of_a_filter_is_typed_there(shop: Shop) -> None:
    await shop.place({"order_id": "o-1", "total": 10.0})
    await shop.failed(1)
    async with seated(shop.settings, size=(80, 24)) as seat:
        burst(seat, "3/handler:archive\r")
        await seat.see("filter: handler:archive", "0 of 0 causes")
        assert not seat.told
        burst(seat, "2s")
        await seat.see("1 of 1 queues", "QUEUE▲")
        burst(seat, "3/\x08")
        await seat.see("filter: handler:archive")


async def test_a_filter_says_what_can_be_typed(shop: Shop) -> None:
    async with seated(shop.settings, size=(80, 24)) as seat:
        await seat.press("3", "slash")
        await seat.see("/words, handler:… exception:… data.total=… newer:2h")
