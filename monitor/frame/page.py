"""A screen of the monitor: between header and hints what it is about, read again each second."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from monitor.frame.commandline import CommandLine
from monitor.frame.header import Header
from monitor.keys import bindings, changing
from monitor.table.table import Table

if TYPE_CHECKING:
    from monitor.app import Monitor
    from monitor.drawing.tones import Tone
    from monitor.frame.dialogs import Agreed, Prompt, Question
    from monitor.screens import Place
    from monitor.source.source import Source

T = TypeVar("T")


class Page(Screen[Any]):
    """What all screens share. A subclass says what is in `body`, reads it in `fetch` and puts it into widgets in `show`.

    `fetch` runs in a task and touches no widget; it is called once a second while the page is on top, once the
    database is open. What it raises is said in the header, and ends nothing.
    """

    #: The group of keys in `monitor.keys` that belongs to it.
    GROUP: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = bindings("page")

    AUTO_FOCUS = "Table"

    DEFAULT_CSS = """
    Page { background: $background; color: $foreground; layout: vertical; }
    """

    class Fetched(Message):
        """What `fetch` answered."""

        def __init__(self, page: Page, found: Any) -> None:
            super().__init__()
            self.page = page
            self.found = found

        def can_replace(self, message: Message) -> bool:
            """Only the newest counts."""
            return isinstance(message, Page.Fetched) and message.page is self.page

    def __init__(self, place: Place | None = None) -> None:
        super().__init__()
        self.place = place
        self._fetching = False

    @property
    def monitor(self) -> Monitor:
        """The application."""
        return cast("Monitor", self.app)

    @property
    def source(self) -> Source:
        """Where it reads."""
        return self.monitor.source

    @property
    def unsaved(self) -> bool:
        """Whether something was typed that would be lost if it were left."""
        return False

    # --- for subclasses ---------------------------------------------------------------------

    def body(self) -> ComposeResult:
        """The widgets between header and hints."""
        yield Widget()

    async def fetch(self) -> Any:
        """Read what is shown. No widget is touched here."""
        return None

    def show(self, found: Any) -> None:
        """Put what was read into widgets."""

    def open(self, **arguments: Any) -> None:
        """What `Monitor.go` hands to a page it switches to."""

    def refresh_now(self) -> None:
        """Read again at once."""
        self._fetch()

    def perform(self, work: Coroutine[Any, Any, None], *, doing: str = "") -> None:
        """Run what the user asked for. What it raises is said in a notification; `doing` names it there."""
        self.run_worker(self._perform(work, doing), group="acts", exit_on_error=False)

    async def confirm(self, question: Question) -> Agreed | None:
        """Ask; None when the user does not agree. Only within `perform`."""
        from monitor.frame.dialogs import Confirm

        return await self.monitor.push_screen_wait(Confirm(question))

    async def prompt(self, prompt: Prompt) -> str | None:
        """Ask for a line of text; None when the user cancels. Only within `perform`."""
        from monitor.frame.dialogs import Ask

        return await self.monitor.push_screen_wait(Ask(prompt))

    def copy(self, text: str, title: str) -> None:
        """Put text on the clipboard where the terminal lets us, and show it, since many do not."""
        from monitor.frame.copied import CopiedScreen

        self.monitor.copy_to_clipboard(text)
        self.monitor.push_screen(CopiedScreen(text, title))

    def tell(self, text: str, tone: Tone = "", *, title: str = "") -> None:
        """Say it in a notification."""
        self.monitor.tell(text, tone, title=title)

    # --- the frame --------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Header, body, and the line of hints."""
        yield Header(self.place)
        yield from self.body()
        yield from self.monitor.banner()
        yield CommandLine()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what changes things when nothing may be changed."""
        if self.source.read_only and f"{self.GROUP}.{action}" in changing():
            return False
        return super().check_action(action, parameters)

    def on_mount(self) -> None:
        """Read for the first time."""
        self._fetch()

    def on_screen_resume(self) -> None:
        """Read again when it is on top again."""
        self._fetch()

    def pulse(self) -> None:
        """A refresh is due. One that comes before the page has its widgets is none: it reads when it is mounted."""
        if self.composed:
            self._excuse()
            if not self._fetch():
                self.tick()

    def tick(self) -> None:
        """Draw the header's states again: ages have grown."""
        for child in self.children:  # none where the page is being taken down
            if isinstance(child, Header):
                child.pulse()

    @property
    def composed(self) -> bool:
        """Whether its widgets are there."""
        return self.is_attached and any(isinstance(child, CommandLine) for child in self.children)

    def _excuse(self) -> None:
        """Tables that have nothing to show say why."""
        lost = self.source.database_state.word == "lost"
        for table in self.query(Table):
            said = "The database does not answer; screen 1 says why." if lost else "Reading …"
            if said != table.unread and not table.known:
                table.unread = said
                table.refresh()

    def tables(self) -> Iterator[Table[Any]]:
        """The tables that are read again at each refresh."""
        return (table for table in self.query(Table) if table.live)

    def _fetch(self) -> bool:
        """Begin to read. The header is drawn with what comes of it, since each drawing has its price."""
        if self._fetching or not self.source.ready or not self.composed:
            return False
        self._fetching = True
        self.run_worker(self._fetch_and_post(), group="fetching", exit_on_error=False)
        return True

    async def _fetch_and_post(self) -> None:
        try:
            found = await self.fetch()
        except Exception as error:
            if self.composed:  # else it is being taken down, and misses its widgets
                self.monitor.failed(error)
                self.tick()
        else:
            self.post_message(self.Fetched(self, found))
        finally:
            self._fetching = False

    @on(Fetched)
    def _show(self, message: Fetched) -> None:
        message.stop()
        if message.page is not self:
            return
        self.tick()
        self._guarded(lambda: self.show(message.found))
        for table in self.tables():
            table.reload(gently=True)

    def _guarded(self, work: Callable[[], T]) -> T | None:
        """What a screen makes of what it read may fail for one odd row, but must not end the monitor."""
        try:
            return work()
        except Exception as error:
            self.monitor.failed(error)
            return None

    async def _perform(self, work: Coroutine[Any, Any, None], doing: str) -> None:
        try:
            await work
        except Exception as error:
            self.monitor.failed(error, doing=doing, loud=True)
        else:
            self.refresh_now()

    @on(Table.Failed)
    def _table_failed(self, message: Table.Failed) -> None:
        message.stop()
        self.monitor.failed(message.error)

    @on(Table.Filtering)
    def _filter(self, message: Table.Filtering) -> None:
        message.stop()
        self.query_one(CommandLine).ask_filter(message.table)

    @on(Table.Copied)
    def _copy(self, message: Table.Copied) -> None:
        message.stop()
        self.copy(message.text, "The row")

    def action_back(self) -> None:
        """Undo one thing: a range, a filter, else go back to the screen before."""
        table = self.focused
        if isinstance(table, Table):
            if table.drop_range():
                return
            if table.listing.filter:
                table.narrow("")
                return
        if len(self.monitor.screen_stack) > 1:
            self.monitor.pop_screen()

    def action_hold(self) -> None:
        """Pause or resume the refreshing."""
        self.monitor.hold()
