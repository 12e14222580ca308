"""What an operator does on screen 3: find, understand, redrive with a canary, watch it succeed."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.reading import beside
from tests.support.seat import Seat, seated

Shop = Any


def orders(number: int, total: float = 10.0, start: int = 0) -> list[dict[str, Any]]:
    return [{"order_id": f"o-{start + each}", "total": total, "card_token": "tok-secret"} for each in range(number)]


def mark(seat: Seat) -> str:
    """The id of the failure that is marked."""
    return next((line.split()[1] for line in seat.screen.split("\n") if line[1:2] == "✓"), "none")


async def test_find_the_cause_redrive_with_a_canary_and_watch_it_succeed(shop: Shop) -> None:
    await shop.place(*orders(5), *orders(2, total=2000, start=5))
    await shop.failed(7)
    async with seated(shop.settings) as seat:
        await seat.press("3")
        await seat.see("7 failures", "of 2 causes", "TimeoutError: the payment", "ValueError: card declined")
        await seat.press("enter")
        await seat.see("5 failures", "TimeoutError in charge")
        await seat.press("enter")
        await seat.see("the payment provider did not answer", "attempts exhausted", '"order_id": "o-', "•••")
        assert "tok-secret" not in seat.screen
        await seat.press("escape", "escape")
        await seat.see("of 2 causes")
        shop.come_up()
        await seat.press("r")
        await seat.see("Redrive 5 messages", f"to {shop.queue}", "will be sent to their queues again")
        await seat.press("shift+tab")
        await seat.type("the provider is back")
        await seat.press("enter", "enter")
        await seat.see("✓ done", "5 of 5 sent", "5 succeeded", "the provider is back")
        await seat.press("5")
        await seat.see("OPERATION", "✓ done")
        await seat.press("7")
        await seat.see("redrive", "the provider is b")
        await seat.press("3")
        await seat.press("escape")
        await seat.see("2 failures", "ValueError: card declined")
        await seat.miss("TimeoutError")


async def test_the_cause_under_the_cursor_is_shown_whole_however_fast_the_cursor_moved(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "REST", 0.5)
    await shop.place(*orders(2), *orders(1, total=2000, start=5))
    await shop.failed(3)
    async with seated(shop.settings, size=(160, 60)) as seat:
        await seat.press("3")
        await seat.see("of 2 causes", "─ Traceback", "─ Body")
        await seat.press("j")
        await seat.miss("─ Body")
        await seat.press("k")  # back before the other was read
        await seat.see("─ Traceback", "─ Body")


async def test_an_edit_is_checked_by_the_payload_model_saved_and_redriven(shop: Shop) -> None:
    shop.come_up()
    await shop.place(*orders(1, total=2000))
    await shop.failed(1)
    async with seated(shop.settings, size=(130, 40)) as seat:
        await seat.press("3")
        await seat.see("1 failure")
        await seat.press("enter")
        await seat.see("ValueError in charge")
        await seat.press("e")
        await seat.see("Edit #1", "«masked 1»", "nothing is changed")
        area = seat.monitor.screen.query_one("BodyArea")
        area.text = area.text.replace('"total": 2000', '"total": "lots"')
        await seat.see("✗ ", "total")
        await seat.press("ctrl+s")
        await seat.hear("Not saved")
        area.text = area.text.replace('"lots"', "20,")
        await seat.see("not JSON")
        area.text = area.text.replace('"total": 20,', '"total": 20')
        await seat.see("1 field changed", "data.total", "2000", "20")
        await seat.press("ctrl+s")
        await seat.see("Save the edit: 1 field changed")
        await seat.type("a typo")
        await seat.press("enter")
        await seat.see("Redrive 1 message", "a typo")
        await seat.press("enter")
        await seat.see("✓ done", "1 succeeded")
        await seat.press("enter")
        await seat.see("✓ succeeded", "edited by", "a typo")
        await seat.press("D")
        await seat.see("Edits of failure #1", "~ data.total", "2000 → 20", "(sent)")
        assert "tok-secret" not in seat.screen


async def test_what_is_marked_is_acted_on_whatever_comes_meanwhile(shop: Shop) -> None:
    await shop.place(*orders(4))
    await shop.failed(4)
    async with seated(shop.settings) as seat:
        await seat.press("3")
        await seat.see("4 failures")
        await seat.press("enter")
        await seat.see("4 failures", "TimeoutError in charge")
        await seat.press("j", "space")
        await seat.see("1 marked")
        marked = mark(seat)
        await shop.place(*orders(3, start=10))
        await shop.failed(7)
        await seat.see("7 failures")
        await seat.until(lambda: mark(seat) == marked, "the mark on its row")
        await seat.press("r")
        await seat.see("Redrive 1 message")
        await seat.press("escape", "asterisk", "r")
        await seat.see("Redrive 7 messages")


async def test_a_filter_says_what_is_wrong_and_survives_refreshes(shop: Shop) -> None:
    await shop.place(*orders(3), *orders(2, total=2000))
    await shop.failed(5)
    async with seated(shop.settings) as seat:
        await seat.press("3")
        await seat.see("5 failures")
        await seat.press("slash")
        await seat.type("handlr:charge")
        await seat.see("there is no term")
        await seat.press("enter")  # it stays, and is mended
        await seat.see("handlr:charge", "there is no term")
        await seat.press(*["backspace"] * 13)
        await seat.type("data.total=2000")
        await seat.press("enter")
        await seat.see("2 failures", "of 1 cause", "filter: data.total=2000")
        await shop.place(*orders(1, total=2000, start=7), *orders(1, start=8))
        await shop.failed(7)
        await seat.see("3 failures", "of 1 cause")
        await seat.press("enter")
        await seat.see("3 failures", "filter: data.total=2000")
        await seat.press("slash")
        await seat.type("handlr:")  # in place of it
        await seat.press("tab")
        await seat.hear("The filter is wrong at 1: there is no term")


async def test_archive_undo_export_and_delete(shop: Shop, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    await shop.place(*orders(3))
    await shop.failed(3)
    async with seated(shop.settings) as seat:
        await seat.press("3")
        await seat.see("3 failures")
        await seat.press("a")
        await seat.see("Archive 3 failures?")
        await seat.press("tab", "enter")
        await seat.hear("Archived 3 failures")
        await seat.see("Nothing has failed.")
        await seat.press("u")
        await seat.see("Bring back 3 failures archived")
        await seat.press("tab", "enter")
        await seat.see("3 failures", "of 1 cause")
        await seat.press("x")
        await seat.see("Export 3 failures to a file")
        await seat.press("enter")
        await seat.hear("Wrote 3 failures")
        [written] = tmp_path.glob("failures-*.jsonl")
        assert written.read_text().count("\n") == 3
        assert "tok-secret" not in written.read_text()
        await seat.press("X")
        await seat.hear("Nothing here can be deleted; 3 left alone: not archived")
        await seat.press("a", "tab", "enter")
        await seat.see("Nothing has failed.")
        await seat.press("slash")
        await seat.type("status:archived")
        await seat.press("enter")
        await seat.see("3 failures")
        await seat.press("X")
        await seat.see("Delete 3 archived failures?", "Type 3 to go on.")
        await seat.type("3")
        await seat.press("enter")
        await seat.hear("Deleted 3 failures")
        await seat.see("Nothing matches the filter")


async def test_a_canary_that_fails_stops_the_rest_and_new_failures_are_seen(shop: Shop) -> None:
    await shop.place(*orders(4))
    await shop.failed(4)
    async with seated(shop.settings) as seat:
        await seat.press("3")
        await seat.see("4 failures")
        await seat.press("r")
        await seat.see("Redrive 4 messages")
        await seat.press(*["shift+tab"] * 4)
        await seat.type("1")
        await seat.press("enter", "enter")
        await seat.see("■ stopped", "1 of 1 canaries failed again", "✗ failed again")
        shop.come_up()
        await seat.press("P")
        await seat.see("✗ done, 1 failed", "3 succeeded", "1 failed again")
        await seat.press("escape")
        await seat.see("1 failure ", "TimeoutError")


async def test_with_no_worker_the_monitor_sends_and_says_so(shop: Shop) -> None:
    await shop.place(*orders(2))
    await shop.failed(2)
    shop.worker.stop()
    async with seated(shop.settings) as seat:
        await seat.see("no worker")
        await seat.press("3")
        await seat.see("2 failures")
        await seat.press("r")
        await seat.see("Redrive 2 messages")
        await seat.press("enter")
        await seat.hear("No worker is alive, so this monitor sent 2 messages.")
        await seat.see("2 of 2 sent", "No worker is alive: the messages wait in their queues")


async def test_a_read_only_monitor_offers_no_change(shop: Shop) -> None:
    await shop.place(*orders(1))
    await shop.failed(1)
    async with seated(shop.settings, read_only=True) as seat:
        await seat.press("3")
        await seat.see("1 failure")
        assert "Redrive" not in seat.screen
        await seat.press("r", "a", "e", "X", "u")
        await seat.pilot.pause()
        await seat.see("1 failure")
        await seat.press("enter", "enter")
        await seat.see("attempts exhausted")
