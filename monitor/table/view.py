"""What a table shows of its listing, and how that survives a refresh: cursor, range and scroll go by keys.

Nothing here draws. Coroutines run one at a time; what the user does meanwhile is not undone by them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal

from monitor.table.listing import Key, Listing, Place, Row
from monitor.table.marks import Marks
from monitor.table.tally import GRACE, Tally
from monitor.table.window import Window, scrolled, shown, stretch, way

#: Rows kept at hand on either side of the view.
MARGIN = 120


@dataclass(frozen=True, slots=True)
class Spot(Generic[Row]):
    """A row, and its index in the whole listing as it was last seen."""

    row: Row
    index: int


class View(Generic[Row]):
    """A listing seen through a view of `height` lines that begins at the row `top`."""

    def __init__(self, listing: Listing[Row], margin: int = MARGIN) -> None:
        self.listing = listing
        self.window: Window[Row] = Window(0, ())
        self.marks = Marks()
        self.total = 0
        #: Whether there are more rows than `total`, which are still being counted.
        self.more = False
        #: Hears that they were counted at last.
        self.on_counted: Callable[[], None] = lambda: None
        self.top = 0
        self.height = 0
        self.loaded = False
        self.cursor: Spot[Row] | None = None
        #: Where a range was begun that ends at the cursor.
        self.origin: Spot[Row] | None = None
        #: The end that the cursor is kept at, where new rows come; None: it stays on its row.
        self.follows: Literal["first", "last"] | None = None
        self._margin = margin
        self._tally = Tally(self._counted)
        #: The listing whose rows were counted last, or read to their end.
        self._known: Listing[Row] | None = None

    @property
    def key(self) -> Key | None:
        """The key of the row under the cursor."""
        return None if self.cursor is None else self.listing.key(self.cursor.row)

    def in_range(self, index: int) -> bool:
        """Whether a row is within the range that is being marked."""
        if self.origin is None or self.cursor is None:
            return False
        first, last = sorted((self.origin.index, self.cursor.index))
        return first <= index <= last

    def lacks(self) -> bool:
        """Whether rows are missing in the view, or will be soon."""
        near = self._margin // 2
        return not self.window.covers(*stretch(self.top, self.height, self.total, near))

    def show(self, listing: Listing[Row]) -> None:
        """Show another listing, or the same rows in another order; `refresh` reads it."""
        self.listing = listing
        self._tally.forget()

    def recount(self) -> None:
        """There may be another number of rows by now: `refresh` counts them."""
        self._tally.forget()

    def move(self, index: int) -> bool:
        """Put the cursor on a row that is at hand, and the view where it is seen; False when it is not at hand."""
        row = self.window.at(index)
        if row is None:
            return False
        self.cursor = Spot(row, index)
        self.top = shown(self.top, index, self.height)
        return True

    async def reach(self, index: int) -> None:
        """Put the cursor on any row, after fetching it."""
        index = max(min(index, self.total - 1), 0)
        if not self.move(index):
            await self._fetch(*stretch(index - self.height // 2, self.height, self.total, self._margin))
            self.move(max(min(index, self.total - 1), 0))

    async def reach_end(self) -> None:
        """Put the cursor on the last row, which is known once all are counted."""
        if self.more:
            await self._tally.count(self.listing, grace=None)
        await self.reach(self.total - 1)

    async def fill(self) -> None:
        """Fetch what the view lacks."""
        await self._fetch(*stretch(self.top, self.height, self.total, self._margin))

    async def go_to(self, row: Row) -> None:
        """Put the cursor on a row of the listing."""
        await self.reach(await self.listing.before(self.listing.place(row)))

    async def match(self, text: str, forwards: bool) -> Row | None:
        """The next row that a filter would leave, from the cursor on and round the end. Raises `engine.FilterError`."""
        matching = self.listing.narrowed(text)
        place = None if self.cursor is None else matching.place(self.cursor.row)
        if place is not None and not forwards:
            rows = await matching.page(place, limit=1, backwards=True)
        else:
            rows = [row for row in await matching.page(place, limit=2) if matching.key(row) != self.key][:1]
        rows = rows or await matching.page(None, limit=1, backwards=not forwards)
        return rows[0] if rows else None

    async def range_keys(self) -> Sequence[Key]:
        """The keys of the range that is being marked."""
        if self.origin is None or self.cursor is None:
            return ()
        ends = sorted((self.origin, self.cursor), key=lambda spot: spot.index)
        return await self.listing.keys(*(self.listing.place(spot.row) for spot in ends))

    async def refresh(self) -> None:
        """Read again what is seen. The row that the view hangs on stays on its line, wherever it is now."""
        listing, top, height = self.listing, self.top, self.height
        if self.follows is not None:
            await self._refresh_end(listing, backwards=self.follows == "last")
            return
        told = await self._tally.count(listing) if self._tally.due else None
        counted, known, number = told is not None, listing is self._known, self._tally.number
        total = self.total if told is None else told
        old = self._anchor()
        place: Place | None = None
        index = 0
        if old is not None:
            row = await listing.find(listing.key(old.row))
            place = listing.place(old.row if row is None else row)
            index = await listing.before(place)
            if not counted and known:  # what came above is known all the same
                total = max(total + index - old.index, 0)
        if not counted and not known:  # as many as may be shown, as long as nobody knows
            total = index + height + self._margin
        guess = total
        begin = scrolled(top, 0 if old is None else old.index - top, index, height)
        start, end = stretch(max(min(begin, total - height), 0), height, total, self._margin)
        window, total = await _around(listing, place, index, min(start, index), max(end, index + 1), total)
        moved = self.cursor if old is None or self.cursor is None or old.row is not self.cursor.row else None
        if moved is not None and _find(listing, window, moved) is None:
            moved = await self._seek(listing, moved)
        if listing is not self.listing:
            return  # another one is shown meanwhile, and read next
        more = not counted and not known and total >= guess
        if self._tally.number != number:  # the count has come meanwhile
            total, more = max(self.total, window.end), False
        shift = index - (0 if old is None else old.index)
        self.window, self.total, self.loaded, self.more = window, total, True, more
        self.top = max(min(begin + self.top - top, total - height), 0)
        self.cursor = self._placed(self.cursor, moved, shift, index)
        if self.origin is not None:
            self.origin = _find(listing, window, self.origin) or replace(self.origin, index=self.origin.index + shift)

    async def _refresh_end(self, listing: Listing[Row], *, backwards: bool) -> None:
        """Read again the end that is followed, and put the cursor there."""
        total = self.total
        if self._tally.due:  # where a row stands is known from the start at once, from the end only by the count
            told = await self._tally.count(listing, grace=None if backwards else GRACE)
            total = (total if listing is self._known else 0) if told is None else told
        known, number = listing is self._known, self._tally.number
        rows = await listing.page(None, limit=self.height + self._margin, backwards=backwards)
        if listing is not self.listing or self.follows is None:
            return  # another one is shown meanwhile, or the cursor was moved away: it is read next
        whole = len(rows) < self.height + self._margin
        total = len(rows) if whole else max(total, len(rows), self.total if self._tally.number != number else 0)
        self.more = not whole and not known and self._tally.number == number
        self.window, self.total, self.loaded = Window(total - len(rows) if backwards else 0, rows), total, True
        self.top = max(total - self.height, 0) if backwards else 0
        self.cursor = self._at(total - 1 if backwards else 0) if total else None

    def _placed(self, cursor: Spot[Row] | None, sought: Spot[Row] | None, shift: int, index: int) -> Spot[Row] | None:
        """Where the cursor is after a refresh: on its row, else on the one that took its place."""
        if not self.total:
            return None
        if cursor is None:
            return self._at(0)
        found = _find(self.listing, self.window, cursor)
        if found is None and sought is not None and sought.row is not cursor.row:
            found = sought
        return found or self._at(min(cursor.index + shift, self.total - 1)) or self._at(index) or cursor

    def _at(self, index: int) -> Spot[Row] | None:
        row = self.window.at(min(index, self.total - 1))
        return None if row is None else Spot(row, min(index, self.total - 1))

    def _anchor(self) -> Spot[Row] | None:
        """The row that stays on its line: the cursor's while it is seen, else the first in the view."""
        if self.cursor is not None and self.top <= self.cursor.index < self.top + self.height:
            return self.cursor
        row = self.window.at(self.top)
        return self.cursor if row is None else Spot(row, self.top)

    async def _seek(self, listing: Listing[Row], spot: Spot[Row]) -> Spot[Row]:
        """Where a row is that is not in the view."""
        row = await listing.find(listing.key(spot.row))
        return spot if row is None else Spot(row, await listing.before(listing.place(row)))

    def _counted(self, total: int, late: bool) -> None:
        self._known, self.total, self.more = self.listing, total, False
        if late and self.loaded:  # else the rows come yet, and are drawn with it
            self.on_counted()

    async def _fetch(self, start: int, end: int) -> None:
        """Have the rows from `start` to before `end` at hand."""
        listing, window, total = self.listing, self.window, self.total
        if end <= start:
            return
        there = way(window, total, start, end)
        place = None if there.anchor is None else listing.place(window.rows[there.anchor - window.first])
        rows = await listing.page(place, skip=there.skip, limit=there.limit, backwards=there.backwards)
        if listing is self.listing and window is self.window:
            first = end - len(rows) if there.backwards else start
            self.window = Window(first, rows)
            if len(rows) < there.limit:  # it has become shorter than it was counted
                self._tally.forget()


def _find(listing: Listing[Row], window: Window[Row], spot: Spot[Row]) -> Spot[Row] | None:
    """The same row in a new window."""
    key = listing.key(spot.row)
    for at, row in enumerate(window.rows):
        if listing.key(row) == key:
            return Spot(row, window.first + at)
    return None


async def _around(
    listing: Listing[Row], place: Place | None, index: int, start: int, end: int, total: int
) -> tuple[Window[Row], int]:
    """The rows from `start` to before `end`, reached from the row at `place`, and the total as it turns out."""
    below = await listing.page(place, limit=end - index)
    above = (
        await listing.page(place, limit=index - start, backwards=True) if index > start and place is not None else ()
    )
    if len(above) < index - start:  # fewer stand above than was counted
        start, index = 0, len(above)
    if len(below) < end - index:
        total = index + len(below)
    return Window(start, [*above, *below]), max(total, index + len(below))
