"""The application: everything is wired up here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.events import Event, InputEvent, Key
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from engine import BrokerUnavailable, ConfigurationError, DatabaseUnavailable, WarrenError
from monitor import collecting, config, screens
from monitor.drawing import tones
from monitor.drawing.text import lines, plain
from monitor.drawing.tones import Tone
from monitor.frame.typeahead import Passed, Typeahead
from monitor.keys import bindings
from monitor.source.source import Source
from monitor.theme import THEMES

if TYPE_CHECKING:
    from engine import Settings
    from monitor.frame.page import Page

#: Tones of what is said, without their colours.
_GLYPHS: dict[Tone, str] = {"good": f"{tones.GOOD} ", "warn": f"{tones.WARN} ", "bad": f"{tones.BAD} "}
#: Seconds for which the same error is not said again.
QUIET = 30.0


class Monitor(App[None], inherit_bindings=False):
    """The dashboard over one application's queues, workers and failures."""

    TITLE = "warren"
    BINDINGS: ClassVar[list[BindingType]] = bindings("app", "places")
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        place.name: partial(screens.make, place) for place in screens.PLACES
    }
    DEFAULT_MODE = "overview"
    NOTIFICATION_TIMEOUT = 6
    #: Messages that a redrive sends first; None: by how many there are.
    CANARY: ClassVar[int | None] = None
    #: What is said stands on the line of the hints, and hides nothing that is worked with.
    CSS = """
    ToastRack { margin-bottom: 0; align: left bottom; max-height: 50%; scrollbar-size-vertical: 0; }
    ToastHolder { align-horizontal: left; }
    Toast { width: 1fr; max-width: 100%; margin: 0; padding: 0 1; background: $panel; }
    """
    ENABLE_COMMAND_PALETTE = False  # ours is opened by bindings of ours, without priority

    class Changed(Message):
        """There is a new picture of the fleet."""

        def can_replace(self, message: Message) -> bool:
            """Only the newest counts."""
            return isinstance(message, Monitor.Changed)

    def __init__(self, source: Source, settings: config.Config) -> None:
        super().__init__()
        self.source = source
        self._said: dict[str, float] = {}
        self._rest = collecting.Rest()
        self._typeahead = Typeahead(self)
        for theme in THEMES:
            self.register_theme(theme)
        if settings.theme not in self.available_themes:
            raise ConfigurationError(
                f"there is no theme {settings.theme!r}", hint=f"There are {', '.join(sorted(self.available_themes))}."
            )
        self.theme = settings.theme
        self.set_keymap(dict(settings.keys))
        source.changed = self._tell_changed
        source.failed = self.failed

    def on_mount(self) -> None:
        """Begin to read, once the first picture is on the screen."""
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.run_worker(self.source.run(), group="source")

    def settle(self) -> None:
        """Collect garbage when nobody waits. Only where the process is the monitor's own."""
        collecting.settle()
        self.set_interval(collecting.PERIOD, self._rest.collect)

    async def on_event(self, event: Event) -> None:
        """Know whether somebody is at work, and let one key through at a time."""
        if isinstance(event, InputEvent):
            self._rest.touched()
        typed = isinstance(event, Key) and not event.is_forwarded
        if typed and not self._typeahead.admits(cast("Key", event)):
            return
        await super().on_event(event)
        if typed:
            self._typeahead.sent()

    @on(Passed)
    async def _passed(self, message: Passed) -> None:
        message.stop()
        arriving = any(each.group == "going" and not each.is_finished for each in self.workers)
        key = self._typeahead.next(message, arriving=arriving)
        if key is not None:
            await self.on_event(key)

    # --- for pages --------------------------------------------------------------------------

    def go(self, name: str, **arguments: Any) -> None:
        """Show a screen that has a number; `arguments` go to its `open`."""
        self.run_worker(self._go(name, arguments), group="going", exclusive=True)

    async def _go(self, name: str, arguments: dict[str, Any]) -> None:
        if name == self.current_mode and not arguments:
            await self._back_to_the_list()
        await self.switch_mode(name)
        if arguments:
            cast("Page", self._screen_stacks[name][0]).open(**arguments)

    async def _back_to_the_list(self) -> None:
        """Leave all that was pushed on the screen with the number, up to what must not be left without a question."""
        while len(self.screen_stack) > 1 and self.page is not None and not self.page.unsaved:
            await self.pop_screen()

    def open_trace(self, reference: str, *, at: str = "") -> None:
        """Show everything that has this correlation id, or that of this event or failure; escape leads back here.

        `at`: the key of the node that the cursor stands on, as `failure:17`.
        """
        self.go("traces", reference=reference, at=at, back=self.current_mode)

    def banner(self) -> Iterable[Widget]:
        """What stands above the hints of every screen."""
        return ()

    @property
    def page(self) -> Page | None:
        """The page on top; None while a dialog is."""
        from monitor.frame.page import Page

        top = self.screen_stack[-1:]  # empty before the first page, and after the last
        return top[0] if top and isinstance(top[0], Page) else None

    @property
    def fault(self) -> Exception | None:
        """What ended the application, if that was not the user."""
        return self._exception

    @property
    def held(self) -> bool:
        """Whether the refreshing is paused."""
        return self.source.held

    def hold(self) -> None:
        """Pause or resume the refreshing."""
        self.source.held = not self.source.held
        if not self.source.held:
            self.source.refresh()
        if self.page is not None:
            self.page.tick()
            self.page.pulse()

    def tell(self, text: str, tone: Tone = "", *, title: str = "") -> None:
        """Say it in a notification, whatever is in the text."""
        severity: Any = {"bad": "error", "warn": "warning"}.get(tone, "information")
        self.notify(f"{_GLYPHS.get(tone, '')}{lines(text)}", title=str(plain(title)), severity=severity, markup=False)

    def failed(self, error: Exception, *, doing: str = "", loud: bool = False) -> None:
        """Say what went wrong, and go on. What the header says already is said only when it is `loud`.

        The same is not said again for a while, since what is read each second fails each second.
        """
        known = isinstance(error, WarrenError)
        if known and not loud and isinstance(error, BrokerUnavailable | DatabaseUnavailable):
            return
        text = f"{error.message}\n{error.hint}".strip() if isinstance(error, WarrenError) else _bug(error)
        now = monotonic()
        if not loud and now - self._said.get(text, -QUIET) < QUIET:
            return
        self._said[text] = now
        self.tell(text, "warn" if known else "bad", title=f"Failed: {doing}" if doing else "")

    # --- the frame --------------------------------------------------------------------------

    def _tell_changed(self) -> None:
        self.post_message(self.Changed())

    @on(Changed)
    def _changed(self) -> None:
        if self.page is not None:
            self.page.pulse()

    def get_key_display(self, binding: Binding) -> str:
        """Keys as terminal people write them."""
        return key_name(binding.key)

    def _fatal_error(self) -> None:
        # Textual would print all local variables here, and passwords among them. Whoever ran us gets the exception.
        self._close_messages_no_wait()

    def action_go(self, name: str) -> None:
        """Show a screen that has a number."""
        self.go(name)

    def action_refresh(self) -> None:
        """Read everything again now."""
        self.source.refresh()
        if self.page is not None:
            self.page.refresh_now()

    def action_help(self) -> None:
        """Show the keys."""
        from monitor.frame.help import HelpScreen

        self.push_screen(HelpScreen(self.screen.active_bindings.values()))

    def action_command_palette(self) -> None:
        """Open the palette."""
        from textual.command import CommandPalette

        from monitor.frame.palette import Commands

        self.push_screen(CommandPalette(providers=[Commands]))

    def action_interrupt(self) -> None:
        """Somebody is used to ctrl+c."""
        self.tell("Press q to quit.")


def key_name(key: str) -> str:
    """How a key of Textual's is written: `^d`, `?`, `esc`."""
    *modifiers, last = key.split("+")
    name = _KEYS.get(last, last)
    if "ctrl" in modifiers:
        return f"^{name}"
    if "shift" in modifiers:
        return f"⇧{name}"
    return name


_KEYS = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "asterisk": "*",
    "escape": "esc",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "down": "↓",
    "up": "↑",
    "left": "←",
    "right": "→",
    "enter": "⏎",
}


def _bug(error: Exception) -> str:
    """A mistake of ours: a short message, and where the traceback is. Only its owner may read that file."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="warren-monitor-", suffix=".log", delete=False, errors="backslashreplace"
    ) as file:
        file.write("".join(traceback.format_exception(error)))
    return f"unexpected {type(error).__name__}: {error}\nThis is a bug in Warren. The traceback is in {file.name}."


def make(settings: Settings, *, read_only: bool = False, **source: Any) -> Monitor:
    """The application for these settings. Raises `ConfigurationError` for what `[tool.warren.monitor]` cannot say."""
    own = config.read(settings.monitor)
    return Monitor(Source(settings, read_only=read_only, **{"interval": own.refresh, **source}), own)


def run(settings: Settings, *, read_only: bool = False) -> int:
    """Show the dashboard until it is quit; the exit code. Raises what ended it unexpectedly."""
    monitor = make(settings, read_only=read_only)
    monitor.source.imported = monitor.settle
    monitor.run()
    if monitor.fault is not None:
        raise monitor.fault
    return monitor.return_code or 0
