"""What a table asks for and draws at a refresh: what is seen, however long the listing is, and only what changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from textual.app import App, ComposeResult
from textual.strip import Strip

from monitor.table.columns import Column
from monitor.table.listing import Place
from monitor.table.memory import MemoryListing
from monitor.table.table import Table
from monitor.table.view import MARGIN, View

ROWS = 5000


class Asked(MemoryListing[int]):
    """Remembers what it was asked, and how many rows it gave."""

    def __init__(self, rows: Sequence[int], **rest: Any) -> None:
        super().__init__(rows, key=lambda row: row)
        self.asked: list[str] = []
        self.given = 0

    async def before(self, place: Place) -> int:
        self.asked.append("before")
        return await super().before(place)

    async def find(self, key: Any) -> int | None:
        self.asked.append("find")
        return await super().find(key)

    async def page(self, place: Place | None, *, skip: int = 0, limit: int, backwards: bool = False) -> Sequence[int]:
        self.asked.append("page")
        found = await super().page(place, skip=skip, limit=limit, backwards=backwards)
        self.given += len(found)
        return found


async def test_a_refresh_in_the_middle_of_a_long_listing_reads_what_is_around_it() -> None:
    listing = Asked(range(ROWS))
    view = View(listing)
    view.height = 40
    await view.refresh()
    await view.reach(ROWS // 2)
    listing.asked, listing.given = [], 0

    await view.refresh()

    assert sorted(listing.asked) == ["before", "find", "page", "page"]
    assert listing.given <= view.height + 2 * MARGIN + 1
    assert view.cursor is not None
    assert view.cursor.index == ROWS // 2


class Miscounted(MemoryListing[int]):
    """Was counted a while ago, since counting takes long."""

    counted = 0

    async def count(self) -> int:
        return self.counted


async def test_the_cursor_stays_in_view_when_more_came_than_were_counted() -> None:
    listing = Miscounted(range(40), key=lambda row: row)
    listing.counted = 40
    view = View(listing)
    view.height = 18
    await view.refresh()
    await view.reach(38)
    line = 38 - view.top
    more = Miscounted([*range(100, 105), *range(40)], key=lambda row: row)
    more.counted = 40
    view.show(more)

    await view.refresh()

    assert view.cursor is not None
    assert (view.cursor.row, view.cursor.index, view.cursor.index - view.top) == (38, 43, line)


class Slow(MemoryListing[int]):
    """Is counted when the test says so."""

    def __init__(self, rows: Sequence[int]) -> None:
        super().__init__(rows, key=lambda row: row)
        self.counts: list[asyncio.Future[int]] = []

    async def count(self) -> int:
        self.counts.append(asyncio.get_running_loop().create_future())
        return await self.counts[-1]


async def test_rows_are_shown_before_they_are_counted() -> None:
    listing = Slow(range(ROWS))
    view, heard = View(listing), asyncio.Event()
    view.on_counted = heard.set
    view.height = 40

    await view.refresh()

    assert view.loaded
    assert (view.window.at(0), view.window.at(view.height - 1)) == (0, view.height - 1)
    assert view.more
    assert view.total < ROWS
    listing.counts[0].set_result(ROWS)
    await heard.wait()
    assert (view.total, view.more) == (ROWS, False)
    await view.refresh()  # it is counted again, and what was known stands meanwhile
    assert (view.total, view.more) == (ROWS, False)


async def test_the_last_row_is_reached_once_all_are_counted() -> None:
    listing = Slow(range(ROWS))
    view = View(listing)
    view.height = 40
    await view.refresh()
    going = asyncio.ensure_future(view.reach_end())
    await asyncio.sleep(0)
    listing.counts[0].set_result(ROWS)
    await going
    assert view.cursor is not None
    assert (view.cursor.row, view.cursor.index) == (ROWS - 1, ROWS - 1)


async def test_a_count_of_what_was_shown_before_says_nothing_of_what_is_shown_now() -> None:
    listing, other = Slow(range(ROWS)), Slow(range(3))
    view = View(listing)
    view.height = 40
    await view.refresh()
    view.show(other)
    await view.refresh()
    assert (view.total, view.more) == (3, False)  # read to their end
    listing.counts[0].set_result(ROWS)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert view.total == 3


class Counting(Table[tuple[int, str]]):
    """Knows which of its lines were drawn."""

    lines: list[int]

    def render_line(self, y: int) -> Strip:
        self.lines.append(y)
        return super().render_line(y)


class Rows(App[None]):
    """A table alone."""

    def compose(self) -> ComposeResult:
        columns: list[Column[tuple[int, str]]] = [Column("text", "TEXT", lambda row: row[1], width=20)]
        listing = MemoryListing([(number, f"row {number}") for number in range(5)], key=lambda row: row[0])
        table = Counting(columns, listing)
        table.lines = []
        yield table


async def test_a_refresh_draws_the_lines_that_changed_and_no_others() -> None:
    app = Rows()
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.pause()
        table = app.query_one(Counting)
        rows = [(number, f"row {number}") for number in range(5)]
        assert table.lines, "nothing was drawn at all"
        table.lines.clear()

        table.put(list(rows))
        await pilot.pause()
        assert table.lines == []

        table.put([*rows[:3], (3, "another"), rows[4]])
        await pilot.pause()
        assert set(table.lines) == {table.above + 3}


class Ageing(App[None]):
    """A table of rows that stay the same and grow older."""

    now = 5

    def compose(self) -> ComposeResult:
        columns: list[Column[int]] = [Column("age", "AGE", lambda row: f"{self.now - row}s", width=6)]
        yield Table(columns, MemoryListing([1, 2], key=lambda row: row))


async def test_an_age_grows_though_its_row_stays_the_same() -> None:
    app = Ageing()
    async with app.run_test(size=(30, 8)) as pilot:
        table = app.query_one(Table)
        await pilot.pause()
        assert "4s" in table.render_line(1).text
        for at_once in (True, False):
            app.now += 10
            if at_once:
                table.put([1, 2])
            else:
                table._pace._next = float("inf")  # reading takes so long that it is not its turn
                table.reload(gently=True)
            await pilot.pause()
            drawn = app.screen._compositor.render_strips()
            assert any(f"{app.now - 1}s" in strip.text for strip in drawn)
