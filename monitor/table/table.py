"""The table that screens use: what one can do in it with keys and mouse."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

from textual.events import Click
from textual.geometry import Region

from monitor.keys import bindings
from monitor.source.pace import Pace
from monitor.table import messages, paint
from monitor.table.canvas import Canvas
from monitor.table.columns import Column
from monitor.table.listing import Key, Listing, Row
from monitor.table.memory import MemoryListing
from monitor.table.reader import Reader
from monitor.table.view import Spot


class Table(Canvas[Row]):
    """Rows of a listing, with a cursor and marks that go by the key of a row.

    Refreshing, sorting and filtering move no cursor to another row and unmark nothing. `live`: it is read again
    at each refresh of its screen.
    """

    BINDINGS = bindings("table")

    Moved: TypeAlias = messages.Moved
    Opened: TypeAlias = messages.Opened
    MarksChanged: TypeAlias = messages.MarksChanged
    Counted: TypeAlias = messages.Counted
    Filtering: TypeAlias = messages.Filtering
    Copied: TypeAlias = messages.Copied
    Failed: TypeAlias = messages.Failed
    FollowChanged: TypeAlias = messages.FollowChanged

    def __init__(
        self, columns: Sequence[Column[Row]], listing: Listing[Row], *, live: bool = True, **options: Any
    ) -> None:
        super().__init__(columns, listing, **options)
        self.live = live
        self.view.on_counted = self._read
        self._reader = Reader(self._read, self._fail)
        self._pace = Pace()
        self._seen: Spot[Row] | None = None
        #: The number of rows that was told of last, and whether there are more.
        self._told: tuple[int, bool] | None = None
        #: Where the cursor is on its way to, while the rows there are fetched.
        self._wanted: int | None = None
        #: The filter that `n` and `N` look for, once it is cleared.
        self._sought = ""
        #: Whether a listing in memory was given its rows.
        self._given = not isinstance(listing, MemoryListing)

    def on_mount(self) -> None:
        """Read for the first time."""
        self._reader.open()
        self.reload()

    def on_unmount(self) -> None:
        """Read no more."""
        self._reader.close()

    # --- what it shows ----------------------------------------------------------------------

    @property
    def listing(self) -> Listing[Row]:
        """What is shown. Set another one, and cursor and marks stay on their rows."""
        return self.view.listing

    @listing.setter
    def listing(self, listing: Listing[Row]) -> None:
        self.view.show(listing)
        self.reload()

    def put(self, rows: Sequence[Row]) -> None:
        """Show these rows, where the listing is one in memory: under the same filter and in the same order."""
        if not isinstance(self.view.listing, MemoryListing):
            raise TypeError("only a listing in memory is given its rows")
        self._given = True
        self.listing = self.view.listing.put(rows)

    @property
    def known(self) -> bool:
        """Whether the rows were read."""
        return self._given and self.view.loaded

    def reload(self, *, gently: bool = False) -> None:
        """Read the visible rows again. `gently`: unless that took long, and was done of late; then only ages are new."""
        if not gently or self._pace.due:
            self._reader.ask(self._refresh)
        else:
            self.redraw(everything=False)

    def renew(self) -> None:
        """Read the visible rows again, and count all of them, at once."""
        self.view.recount()
        self.reload()

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return None if self.view.cursor is None else self.view.cursor.row

    @property
    def marked(self) -> int:
        """How many rows are marked."""
        return len(self.view.marks)

    async def chosen(self) -> list[Key]:
        """The keys to act on: those marked and those of a range under way, else the one under the cursor."""
        keys = dict.fromkeys(self.view.marks.keys)
        keys.update(dict.fromkeys(await self.view.range_keys()))
        if keys:
            return list(keys)
        return [] if self.view.key is None else [self.view.key]

    def unmark(self) -> None:
        """Nothing is marked any more."""
        self.view.marks.clear()
        self.view.origin = None
        self._changed()

    @property
    def following(self) -> bool:
        """Whether the cursor stays at the end where new rows come, whichever row is there."""
        return self.view.follows is not None

    def follow(self, end: Literal["first", "last"] | None) -> None:
        """Keep the cursor at an end, until it is moved away from there; None: let it stay on its row again."""
        if self.view.follows != end:
            self.view.follows = end
            self.post_message(self.FollowChanged(self))
        if end is not None:
            self._wanted = None
            self.reload()

    def go_to(self, key: Key) -> None:
        """Put the cursor on the row of this key, if it is in the listing."""
        self._reader.ask(partial(self._go_to, key))

    def narrow(self, text: str) -> None:
        """Show what matches. Raises `engine.FilterError`."""
        if text != self.listing.filter:
            self.listing = self.listing.narrowed(text)
            self._sought = text or self._sought
            self._changed()

    def sort_by(self, column: str, descending: bool) -> None:
        """Put the rows in the order of a column."""
        self.follow(None)
        self.listing = self.listing.sorted_by(column, descending)
        self._changed()

    def move_to(self, index: int) -> None:
        """Put the cursor on the row of this index; where it is not at hand, it is fetched."""
        index = max(min(index, self.view.total - 1), 0)
        if self.following and index != (0 if self.view.follows == "first" else self.view.total - 1):
            self.follow(None)
        if self.view.move(index):
            self._wanted = None
            self._show_cursor()
            self.scrolled()
        elif self.view.total:
            self._wanted = index
            self._reader.ask(self._reach)

    # --- reading ----------------------------------------------------------------------------

    def scrolled(self) -> None:
        """Fetch what comes into view; who scrolls away follows no longer."""
        if (self.view.follows == "first" and self.view.top > 0) or (
            self.view.follows == "last" and self.view.top < self.view.total - self.view.height
        ):
            self.follow(None)
        if self.view.loaded and self.view.lacks():
            self._reader.ask(self.view.fill)

    def _read(self) -> None:
        if self.is_attached:
            self._show_cursor(everything=True)
            told = self.view.total, self.view.more
            if told != self._told:
                self._told = told
                self.post_message(self.Counted(self))

    def _fail(self, error: Exception) -> None:
        self.post_message(self.Failed(self, error))

    async def _refresh(self) -> None:
        with self._pace.reading():
            await self.view.refresh()

    async def _reach(self) -> None:
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            await self.view.reach(wanted)

    async def _go_to(self, key: Key) -> None:
        self.follow(None)
        row = await self.listing.find(key)
        if row is not None:
            await self.view.go_to(row)

    def _show_cursor(self, *, everything: bool = False) -> None:
        """Draw what a step of the cursor changes, or everything, and tell of another row under it."""
        old, new = self._seen, self.view.cursor
        top = round(self.scroll_y)
        self._follow()
        if everything or self.view.origin is not None or top != self.view.top:
            self.redraw(everything=False)
        elif old != new:
            lines = {spot.index - self.view.top for spot in (old, new) if spot is not None}
            width = self.size.width
            seen = [Region(0, line + self.above, width, 1) for line in lines if 0 <= line < self.view.height]
            self.refresh(*seen, Region(0, self.size.height - 1, width, 1))
        if old != new:
            self._seen = new
            self.post_message(self.Moved(self))

    def _changed(self) -> None:
        self.redraw(everything=False)
        self.post_message(self.MarksChanged(self))

    # --- keys -------------------------------------------------------------------------------

    @property
    def _index(self) -> int:
        if self._wanted is not None:
            return self._wanted
        return 0 if self.view.cursor is None else self.view.cursor.index

    def action_down(self) -> None:
        """One row down."""
        self.move_to(self._index + 1)

    def action_up(self) -> None:
        """One row up."""
        self.move_to(self._index - 1)

    def action_first(self) -> None:
        """To the first row."""
        self.move_to(0)

    def action_last(self) -> None:
        """To the last row."""
        if self.view.more:
            self._reader.ask(self.view.reach_end)
        else:
            self.move_to(self.view.total - 1)

    def action_half_down(self) -> None:
        """Half a page down."""
        self.move_to(self._index + max(self.view.height // 2, 1))

    def action_half_up(self) -> None:
        """Half a page up."""
        self.move_to(self._index - max(self.view.height // 2, 1))

    def action_page_down(self) -> None:
        """A page down."""
        self.move_to(self._index + max(self.view.height - 1, 1))

    def action_page_up(self) -> None:
        """A page up."""
        self.move_to(self._index - max(self.view.height - 1, 1))

    def action_open(self) -> None:
        """Open the row under the cursor."""
        if self.row is not None:
            self.post_message(self.Opened(self, self.row))

    def action_filter(self) -> None:
        """Ask for a filter."""
        self.post_message(self.Filtering(self))

    def action_next_match(self) -> None:
        """To the next row that matches the last filter."""
        self._search(True)

    def action_previous_match(self) -> None:
        """To the row before that matches the last filter."""
        self._search(False)

    def _search(self, forwards: bool) -> None:
        self.follow(None)
        if not self._sought:
            self.action_filter()
            return
        if self.listing.filter:  # all that is shown matches
            self.move_to((self._index + (1 if forwards else -1)) % max(self.view.total, 1))
            return
        self._reader.ask(partial(self._match, forwards))

    async def _match(self, forwards: bool) -> None:
        row = await self.view.match(self._sought, forwards)
        if row is not None:
            await self.view.go_to(row)

    def action_sort(self) -> None:
        """Sort by the next column that can be sorted by."""
        sortable = [column for column in self.columns if column.sort]
        if not sortable:
            return
        ids = [column.id for column in sortable]
        order = self.listing.order
        at = ids.index(order[0]) + 1 if order is not None and order[0] in ids else 0
        column = sortable[at % len(sortable)]
        self.sort_by(column.id, column.down)

    def action_reverse(self) -> None:
        """Turn the order round."""
        if self.listing.order is not None:
            self.sort_by(self.listing.order[0], not self.listing.order[1])

    def action_mark(self) -> None:
        """Mark or unmark the row, and go on to the next."""
        if self.view.key is not None:
            self.view.marks.toggle(self.view.key)
            self._changed()
            self.action_down()

    def action_range(self) -> None:
        """Begin a range at the cursor, or mark the range that was begun."""
        if self.view.origin is None:
            self.view.origin = self.view.cursor
            self._changed()
        else:
            self._reader.ask(self._mark_range)

    def drop_range(self) -> bool:
        """Forget the range that was begun; False when there is none."""
        if self.view.origin is None:
            return False
        self.view.origin = None
        self._changed()
        return True

    def action_mark_all(self) -> None:
        """Mark all rows that match, or none of them when all are marked."""
        self._reader.ask(self._mark_all)

    async def _mark_range(self) -> None:
        self.view.marks.add(await self.view.range_keys())
        self.view.origin = None
        self._changed()

    async def _mark_all(self) -> None:
        self.view.marks.toggle_all(await self.listing.keys())
        self._changed()

    def action_copy(self) -> None:
        """Copy the row as it is shown, its columns separated by tabs."""
        if self.row is not None:
            self.post_message(self.Copied(self, paint.as_text(self.row, self.columns)))

    # --- mouse ------------------------------------------------------------------------------

    def on_click(self, event: Click) -> None:
        """The cursor to a row; in the gutter a mark; twice, open it; on a title, sort by it."""
        if event.y < self.above:
            self._sort_at(event.x)
            return
        index = self.view.top + event.y - self.above
        if event.y >= self.size.height - self.below or index >= self.view.total:
            return
        self.move_to(index)
        if event.x < paint.GUTTER and self.view.key is not None:
            self.view.marks.toggle(self.view.key)
            self._changed()
        elif event.chain == 2:
            self.action_open()

    def _sort_at(self, x: int) -> None:
        under = paint.column_at(self._fitted, x)
        if under is not None and under.column.sort:
            order = self.listing.order
            same = order is not None and order[0] == under.column.id
            self.sort_by(under.column.id, not order[1] if same and order is not None else under.column.down)
