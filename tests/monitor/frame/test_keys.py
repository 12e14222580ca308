"""Help, hints and palette are made from the bindings; keys are the user's to change; read-only offers no change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine import ConfigurationError
from monitor import config
from monitor.keys import GROUPS, PLACES, every
from tests.support.seat import Seat, seated

Shop = Any


async def test_the_help_leads_with_the_keys_of_the_screen_and_scrolls(shop: Shop) -> None:
    async with seated(shop.settings, size=(80, 24)) as seat:
        await seat.press("3")
        await seat.see("Nothing has failed.")
        await seat.press("question_mark")
        await seat.see(*(action.label for action in GROUPS["failures"] if action.name != "edit_outside"), "Failures")
        await seat.press("G")
        await seat.see(*(f"{place.number}                {place.title}" for place in PLACES))
        await seat.press("ctrl+u")
        await seat.see("Everywhere")
        await seat.press("g", "ctrl+d")
        await seat.see("Down", "j, ↓")
        await seat.press("question_mark")
        await seat.miss("In a table")


async def test_other_keys_by_the_settings_are_in_help_and_hints_and_do_it(shop: Shop) -> None:
    keys = {"keys": {"failures.archive": "A", "table.filter": "f", "places.queues": "Q"}}
    async with seated(replace(shop.settings, monitor=keys)) as seat:
        await seat.press("3")
        await seat.see("f Filter", "A Archive")
        await seat.press("question_mark")
        await seat.see("A                Archive")
        await seat.press("escape", "a", "2")
        await seat.pilot.pause()
        await seat.see("0 of 0 causes")
        await seat.press("A")
        await seat.hear("Nothing here can be archived")
        await seat.press("Q")
        await seat.see("1 of 1 queues")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"failures.archiv": "A"}, "Did you mean 'failures.archive'?"),
        ({"failures.archive": ""}, "names no keys"),
        ("A", "is not a table"),
    ],
)
def test_keys_that_cannot_be_are_refused(keys: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        config.read({"keys": keys})
    assert said in f"{error.value.message} {error.value.hint}"


def test_none_of_ours_is_a_priority_binding_and_each_has_an_id() -> None:
    from monitor.keys import bindings

    made = [binding for group in GROUPS for binding in bindings(group)]
    assert len(made) == len(list(every()))
    assert not any(binding.priority for binding in made)  # type: ignore[union-attr]
    assert len({binding.id for binding in made}) == len(made)  # type: ignore[union-attr]


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
async def test_the_palette_finds_actions_screens_and_themes(shop: Shop, key: str) -> None:
    async with seated(shop.settings) as seat:
        await seat.press("3")
        await seat.see("0 of 0 causes")
        await seat.press(key)
        await seat.see("Search for commands", "Redrive", "key r")
        await seat.type("worker")
        await seat.see("Workers", "key 6")
        await seat.press("enter")
        await seat.see("1 of 1 workers")
        await seat.press(key)
        await seat.type("warren-light")
        await seat.see("Theme: warren-light")
        await seat.press("enter")
        await seat.until(lambda: seat.monitor.theme == "warren-light", "the other theme")


async def test_what_is_typed_as_a_filter_is_no_command(shop: Shop) -> None:
    async with seated(shop.settings) as seat:
        await seat.press("2", "slash")
        await seat.see("enter applies, esc clears")
        await seat.type("quR?1nothing")
        await seat.see("/quR?1nothing", "Nothing matches the filter; esc clears it.")
        await seat.press("escape")
        await seat.see("1 of 1 queues")


async def test_a_read_only_monitor_shows_and_does_no_change_anywhere(shop: Shop) -> None:
    shop.go_down()
    await shop.place({"order_id": "o-1", "total": 1})
    await shop.failed(1)
    async with seated(shop.settings, read_only=True) as seat:
        await seat.see("read-only")
        for place, seen in (("2", "1 of 1 queues"), ("3", "1 of 1 causes"), ("5", "0 of 0 operations")):
            await seat.press(place)
            await seat.see(seen)
            await seat.press("p", "r", "e", "E", "a", "u", "X", "P", "C")
            await seat.pilot.pause()
            await seat.see(seen)
            assert not seat.told
        await seat.press("7")
        await seat.see("Nobody did anything yet.")
        await seat.press("3", "question_mark")
        await seat.see("Trace")
        await _lacks(seat, "Archive", "Redrive")


async def _lacks(seat: Seat, *texts: str) -> None:
    assert not [text for text in texts if text in seat.screen]
