"""What an operator does with the log of events, streams and projections."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.seat import Seat, seated

Bank = Any
WIDE = (140, 40)


async def test_the_log_is_followed_until_the_cursor_leaves_the_newest(bank: Bank) -> None:
    await bank.deposit("a-1", 100, 250)
    async with seated(bank.settings) as seat:
        await seat.press("8")
        await seat.see("▶ following the newest", "1 of 3 events", "account/a-1", "@3")
        await bank.deposit("a-2", 300)
        await seat.until(
            lambda: "account/a-2" in seat.line("▌") and "@2" in seat.line("▌"), "the newest under the cursor"
        )
        await seat.press("j")
        await seat.see("‖ not following", "2 of 5 events")
        assert "account/a-2" in seat.line("▌")
        assert "@1" in seat.line("▌")
        await bank.deposit("a-3", 400)
        await seat.see("4 of 7 events")
        assert "account/a-2" in seat.line("▌")
        assert "@1" in seat.line("▌")
        await seat.press("f")
        await seat.see("▶ following the newest", "1 of 7 events")
        await seat.press("s", "S")
        await seat.see("‖ not following")
        await seat.press("f")
        await seat.see("▶ following the newest, at the end", "7 of 7 events")
        await bank.deposit("a-3", 500)
        await seat.see("8 of 8 events", "▶ following")


async def test_events_are_searched_opened_and_traced(bank: Bank) -> None:
    await bank.deposit("a-1", 100, 250)
    await bank.deposit("a-2", 300)
    async with seated(bank.settings) as seat:
        await seat.press("8")
        await seat.see("1 of 5 events")
        for text, found in (
            ("type:account.deposited", "of 3 events"),
            ("stream:account/a-1", "of 3 events"),
            ("correlation:visit-250", "of 1 events"),
            ("origin:emitted", "of 0 events"),
            ('"ann"', "of 2 events"),
        ):
            await search(seat, text)
            await seat.see(found)
        await seat.see("text in bodies: the newest 50,000 only")
        await search(seat, "type:account.* nwer:2h", enter=False)
        await seat.see("at 16: there is no term 'nwer'")
        await search(seat, "correlation:visit-250")
        await seat.see("of 1 events")
        await seat.press("enter")
        await seat.see("account.deposited", "account/a-1, version 3", "visit-250", '"cents": 250')
        await seat.press("y")
        await seat.see("Body of event 3: copied")
        await seat.press("escape", "t")
        await seat.see("correlation visit-250", "account.deposited")
        await seat.press("escape")
        await seat.see("account/a-1, version 3")
        await seat.press("escape", "escape")
        await seat.see("of 5 events")
        await seat.press("g", "enter", "n")
        await seat.see("account/a-2, version 1", "account.opened")


async def test_a_stream_tells_what_its_aggregate_was_at_any_version(bank: Bank) -> None:
    await bank.deposit("a-1", 100, 250)
    async with seated(bank.settings, size=WIDE) as seat:
        await seat.press("8")
        await seat.see("account/a-1", "@3")
        await seat.press("j", "h")
        await seat.see("account/a-1   at version 3", "2 of 3 versions", "─ State at version 2", '"cents": 100')
        assert "•••" in seat.line('"api_key"')
        await seat.press("k")
        await seat.see("─ State at version 3", '"cents": 350', "~ cents  100 → 350")
        await seat.press("enter")
        await seat.see("─ Event 3", '"cents": 250', "─ State at version 3")
        await seat.press("n", "n")
        await seat.see("─ State at version 1", '"owner": "ann"', '~ owner  "" → "ann"')
        await seat.press("n")
        await seat.hear("There is no other.")


async def test_without_its_class_a_stream_shows_its_events_and_says_why(bank: Bank) -> None:
    await bank.deposit("a-1", 100)
    await bank.misuse("a-1", 666)
    async with seated(bank.settings) as seat:
        await seat.press("8")
        await seat.see("account/a-1", "@3")
        await seat.press("h", "enter")
        await seat.see("✗ the applier of Account for account.deposited raised at version 3", "such money")
        await seat.see("─ State at version 2", '"cents": 100')
    async with seated(bank.settings) as seat:
        monitor = seat.monitor
        monitor.source._project = replace(await monitor.source.project(), aggregates={}, note="")
        await seat.press("8")
        await seat.see("account/a-1", "@3")
        await seat.press("h")
        await seat.see("▲ no state: no plugin here has a class Aggregate with type='account'")
        await seat.press("enter")
        await seat.see("▲ not known: no plugin here", '"cents": 666')


async def test_streams_are_found_by_how_they_begin(bank_on_postgres: Bank) -> None:
    bank = bank_on_postgres
    await bank.deposit("a-1", 100, 250)
    await bank.deposit("b-1", 300)
    await bank.deposit("b-2", 300)
    async with seated(bank.settings, size=WIDE) as seat:
        await seat.press("8")
        await seat.see("of 7 events", "▶ following")
        await search(seat, '"250" type:account.#')
        await seat.see("of 1 events")
        await seat.press("escape", "H")
        await seat.see("1 of 3 streams")
        await search(seat, "account/b-")
        await seat.see("of 2 streams")
        await seat.press("G", "enter")
        await seat.see("account/b-2   at version 2", '"cents": 300')
        await seat.press("escape", "escape", "g", "e")
        await seat.see("of 3 events", "filter: aggregate:account/a-1")
        await seat.press("P")
        await seat.see("● bank.balances", "running", "1 of 1 projections")


async def test_a_projection_that_stopped_is_looked_at_and_goes_on_without_the_event(bank: Bank) -> None:
    await bank.deposit("a-1", 100, 13, 250)
    async with seated(bank.settings, size=WIDE) as seat:
        await seat.see("✗ bank.balances stands at event 3: ValueError: an unlucky number")
        await seat.press("enter")
        await seat.see("✗ 1 stopped at an event", "stopped at 3", "ValueError: an unlucky number")
        await seat.press("enter")
        await seat.see("✗ it stands at event 3, account.deposited", "behind    2 events")
        await seat.press("e")
        await seat.see("account/a-1, version 3", '"cents": 13')
        await seat.press("escape", "escape", "K")
        await seat.see("Leave an event out of", "an unlucky number", "the log keeps it")
        await seat.type("a joke")
        await seat.press("enter", "enter")
        await seat.hear("Left out.")
        await seat.see("running", "skipped   1")
        await seat.press("p")
        await seat.see("Pause ")
        await seat.type("month end")
        await seat.press("enter", "enter")
        await seat.hear("Paused ")
        await seat.see("‖ bank.balances", "paused", ": month end")
        await seat.press("p")
        await seat.see("Resume ")
        await seat.press("enter", "enter")
        await seat.hear("Resumed ")
        await seat.see("● bank.balances")
        await seat.press("7")
        await seat.see("projection skip", "projection pause", "projection resume", "a joke")


async def test_a_projection_is_rebuilt_compared_and_swapped(bank: Bank) -> None:
    await bank.deposit("a-1", 100, 250)
    async with seated(bank.settings, size=WIDE) as seat:
        await seat.press("8", "P")
        await seat.see("1 of 1 projections", "● bank.balances")
        await seat.press("b")
        await seat.see("from the whole log, up to position 3")
        await seat.press("ctrl+s")
        await seat.see("Rebuild ", "which stay as they are until the two are swapped")
        await seat.press("enter", "enter")
        await seat.see("● caught up", "100%")
        await seat.press("c")
        await seat.see("1 row, the same in both.")
        await seat.press("w")
        await seat.see("Put the rebuilt tables in the place of the live ones?", "The live tables are dropped.")
        await seat.press("escape")
        await seat.miss("are dropped")
        await seat.press("w", "enter", "enter")
        await seat.see("✓ Done: version 1 is live.")
        await seat.press("7")
        await seat.see("projection swap", "projection rebuild")


async def test_events_are_replayed_to_one_handler(bank: Bank) -> None:
    await bank.deposit("a-1", 100, 250)
    async with seated(bank.settings) as seat:
        await seat.until(lambda: bank.thanks == [100, 250], "both handled")
        await seat.press("8")
        await seat.see("1 of 3 events")
        await seat.press("space", "space", "space", "r")
        await seat.see("Replay 3 events to which handler?", "● thank", "2 of 3", "account.deposited")
        await seat.press("enter")
        await seat.see("Replay 2 messages of 3 chosen", "to thank, and to nobody else", "2  account.deposited")
        await seat.press("enter")
        await seat.see("replay ", "✓ done", "2 succeeded")
        assert sorted(bank.thanks) == [100, 100, 250, 250]


async def test_who_may_only_look_changes_nothing(bank: Bank) -> None:
    await bank.deposit("a-1", 100)
    async with seated(bank.settings, read_only=True) as seat:
        await seat.press("8")
        await seat.see("1 of 2 events")
        assert "Replay" not in seat.screen
        await seat.press("r")
        await seat.press("P")
        await seat.see("bank.balances")
        await seat.press("b")
        await seat.see("from the whole log")
        await seat.press("ctrl+s")
        await seat.press("7")
        await seat.see("Nobody did anything yet.")


async def search(seat: Seat, text: str, *, enter: bool = True) -> None:
    """Type a filter in place of the one there is."""
    await seat.press("slash", "ctrl+a")
    await seat.press(*["ctrl+k"])
    await seat.type(text)
    if enter:
        await seat.press("enter")
